{{ config(materialized='by_customer') }}
with events as (
    {{ counted_events() }}
)

select
    customer_key,
    occurred_date as active_date,
    duration_seconds,
    cast(count(*) as bigint) as events
from events
where duration_seconds is not null
group by
    customer_key,
    occurred_date,
    duration_seconds
