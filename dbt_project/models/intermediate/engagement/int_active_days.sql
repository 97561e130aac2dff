{#- What looks forward may change for days whose window holds a changed day, and for the last one before it; what looks back only from there on. -#}
{{ config(
    materialized='merged', row_key=['customer_key', 'active_date'], replaced_from='night_event_days',
    replaces='rows_before.active_date >= changes.window_date or rows_before.next_date is null or rows_before.next_date >= changes.changed_date',
    keeps_late=true, kept_until='case when rows_before.active_date < changes.changed_date then changes.changed_date end'
) }}
{%- set others = var('mau_days') - 1 -%}
{%- set kept = ['day_number', 'previous_date', 'days_before'] -%}
with events as (
    {{ counted_events() }}
),

{%- if is_at_night() %}

changes as (
    select * from main.night_event_days
),

rows_before as (
    select
        rows_before.*,
        changes.is_read_again
    from {{ differing_rows_before(this) }} as rows_before
    inner join changes
        on rows_before.customer_key = changes.customer_key
),

all_days as (
    select
        events.customer_key,
        events.occurred_date as active_date
{%- for column in kept %},
        null as kept_{{ column }}
{%- endfor %},
        null as kept_until
    from events
    inner join changes
        on events.customer_key = changes.customer_key
        and events.occurred_date >= changes.changed_date
    union all
    select
        customer_key,
        active_date
{%- for column in kept %},
        case when kept_until is not null then {{ column }} end as kept_{{ column }}
{%- endfor %},
        kept_until
    from rows_before
    where kept_until is not null
        or not is_read_again
),
{%- endif %}

days as (
    select
        customer_key,
        active_date,
        {{ days_between(first_calendar_day(), 'active_date') }} as date_number
{%- if is_at_night() %}
{%- for column in kept %},
        max(kept_{{ column }}) as kept_{{ column }}
{%- endfor %},
        max(kept_until) as kept_until
    from all_days
{%- else %}
    from (select customer_key, occurred_date as active_date from events) as all_days
{%- endif %}
    group by
        customer_key,
        active_date
),

numbered as (
    select
        *,
        cast(row_number() over in_order as integer) as day_number,
        lag(active_date) over in_order as previous_date,
        lead(active_date) over in_order as next_date,
        cast(count(*) over (
            partition by customer_key order by date_number nulls last range between {{ others }} preceding and current row
        ) - 1 as integer) as days_before,
        cast(count(*) over (
            partition by customer_key order by date_number nulls last range between current row and {{ others }} following
        ) - 1 as integer) as days_after
{%- if is_at_night() %},
        coalesce(first_value(kept_day_number) over in_order - 1, 0) as days_left_out
{%- endif %}
    from days
    window in_order as (partition by customer_key order by date_number nulls last)
)

select
    customer_key,
    active_date,
{%- if is_at_night() %}
    day_number + days_left_out as day_number,
    case when kept_day_number is null then previous_date else kept_previous_date end as previous_date,
    next_date,
    coalesce(kept_days_before, days_before) as days_before,
{%- else %}
    day_number,
    previous_date,
    next_date,
    days_before,
{%- endif %}
    days_after
{%- if is_at_night() %},
    kept_until,
    {{ says_counts_alike('int_active_days') }}
{%- endif %}
from numbered
