{{ config(
    materialized='merged', row_key=['customer_key', 'active_date', 'duration_seconds'], replaced_from='night_event_days',
    replaces='rows_before.active_date >= changes.changed_date'
) }}
with events as (
    {{ counted_events() }}
),

counted as (
    select
        customer_key,
        occurred_date as active_date,
        duration_seconds,
        count(*) as events
    from events
    where duration_seconds is not null
    group by
        customer_key,
        occurred_date,
        duration_seconds
)

{%- if is_at_night() %},

changes as (
    select * from main.night_event_days
),

{# Those that came beside those that stay. #}
parts as (
    select
        counted.customer_key,
        counted.active_date,
        counted.duration_seconds,
        counted.events
    from counted
    inner join changes
        on counted.customer_key = changes.customer_key
        and counted.active_date >= changes.changed_date
    union all
    select
        rows_before.customer_key,
        rows_before.active_date,
        rows_before.duration_seconds,
        rows_before.events
    from {{ differing_rows_before(this) }} as rows_before
    inner join changes
        on rows_before.customer_key = changes.customer_key
    where not changes.is_read_again
)
{%- endif %}

select
    customer_key,
    active_date,
    duration_seconds,
    cast({{ 'sum(events)' if is_at_night() else 'events' }} as bigint) as events
{%- if is_at_night() %}
from parts
group by
    customer_key,
    active_date,
    duration_seconds
{%- else %}
from counted
{%- endif %}
