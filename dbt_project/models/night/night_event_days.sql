{#- From which day on a night looks at the active days of a customer: the first on which an event came or went. -#}
{%- do ref('int_identities') %}{% do source('raw', 'events') %}{% do source('raw', 'events_history') %}
{%- if not is_at_night() %}
select
    cast(null as bigint) as customer_key,
    cast(null as date) as changed_date,
    cast(null as date) as window_date,
    cast(null as boolean) as is_read_again,
    cast(null as boolean) as is_late
where false
{%- else %}
with {{ merged_identities() }},

changed_events as (
    select
        _customer_key,
        occurred_at,
        occurred_at_is_date,
        0 as has_gone
    from {{ source('raw', 'events') }}
    where _load_id > {{ var('applied_load_id') }}
    union all
    select
        _customer_key,
        occurred_at,
        occurred_at_is_date,
        1 as has_gone
    from {{ source('raw', 'events_history') }}
    where _superseded_by > {{ var('applied_load_id') }}
        and _load_id <= {{ var('applied_load_id') }}
),

changed_days as (
    select
        changed_events._customer_key as raw_key,
        min({{ business_day_of_many('changed_events', 'occurred_at') }}) as changed_date,
        max(changed_events.has_gone) as has_gone
    from changed_events
    {{ join_utc_days('changed_events', 'occurred_at') }}
    where changed_events._customer_key is not null
    group by changed_events._customer_key
),

{# The owner before and the owner now. Of somebody who is somebody else tonight, all days, of both. #}
owned as (
    select coalesce(identities.customer_key, changed_days.raw_key) as customer_key, changed_days.changed_date, changed_days.has_gone
    from changed_days
    left join identities
        on changed_days.raw_key = identities.alias_key
    union all
    select coalesce(identities_before.customer_key, changed_days.raw_key) as customer_key, changed_days.changed_date, changed_days.has_gone
    from changed_days
    left join identities_before
        on changed_days.raw_key = identities_before.alias_key
{%- for column in ['alias_key', 'customer_key_now', 'customer_key_before'] %}
    union all
    select {{ column }} as customer_key, {{ first_calendar_day() }} as changed_date, 1 as has_gone
    from merged
    where {{ column }} is not null
{%- endfor %}
)

select
    customer_key,
    min(changed_date) as changed_date,
    {{ add_days('min(changed_date)', 1 - var('mau_days')) }} as window_date,
    max(has_gone) = 1 as is_read_again,
    min(changed_date) < (select max(period_end) from {{ previous('int_periods') }} where is_complete) as is_late
from owned
group by customer_key
{%- endif %}
