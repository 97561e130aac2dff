{{ config(post_hook=['create schema if not exists touched', 'create schema if not exists touched_before', 'create schema if not exists changed',
    'create schema if not exists differing', 'create schema if not exists differing_before', 'create schema if not exists late', 'create schema if not exists whole', 'create schema if not exists written']) }}
{#- Events of somebody who has been active for longer change none of their other facts, unless behaviour is a segment; what is merged into the days says night_event_days. -#}
{%- set by_days = is_built('night_event_days') and 'night_event_days' not in var('new_models') and 'engagement_group' not in var('segments') %}
{%- do ref('night_causes') %}{% do ref('night_event_days') %}{% do ref('night_due') %}{% do ref('int_identities') %}{% do source('raw', 'customer_keys') %}
{%- if not var('night') %}
select cast(null as bigint) as customer_key
where false
{%- else %}
with {{ merged_identities() }}

select customer_key from {{ ref('night_causes') }}
{%- if by_days %}
where dataset <> 'events'
union
select event_days.customer_key
from {{ ref_if_built('night_event_days') }} as event_days
left join {{ previous('int_first_facts') }} as first_facts
    on event_days.customer_key = first_facts.customer_key
where event_days.is_read_again
    or first_facts.first_event_date is null
    or event_days.changed_date < first_facts.first_event_date
{%- endif %}
union
select alias_key as customer_key from merged
union
select customer_key_now as customer_key from merged where customer_key_now is not null
union
select customer_key_before as customer_key from merged where customer_key_before is not null
union
select customer_key from {{ ref('night_due') }}
union
{# Ids that came without a row of the above: in a further dataset, or in a version that was replaced before any night saw it. Keys rise, and each is a customer's or an alias's. #}
select customer_key from {{ source('raw', 'customer_keys') }}
where customer_key > (
        select coalesce(max(known_key), 0)
        from (
            select max(customer_key) as known_key from {{ previous('int_customers') }}
            union all
            select max(alias_key) as known_key from {{ previous('int_identities') }}
        ) as known
    )
{%- endif %}
