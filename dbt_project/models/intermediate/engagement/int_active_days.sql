{{ config(materialized='by_customer') }}
{%- set others = var('mau_days') - 1 -%}
with events as (
    {{ counted_events() }}
),

days as (
    select distinct
        customer_key,
        occurred_date as active_date,
        {{ days_between(first_calendar_day(), 'occurred_date') }} as date_number
    from events
)

select
    customer_key,
    active_date,
    cast(row_number() over in_order as integer) as day_number,
    lag(active_date) over in_order as previous_date,
    lead(active_date) over in_order as next_date,
    cast(count(*) over (
        partition by customer_key order by date_number nulls last range between {{ others }} preceding and current row
    ) - 1 as integer) as days_before,
    cast(count(*) over (
        partition by customer_key order by date_number nulls last range between current row and {{ others }} following
    ) - 1 as integer) as days_after
from days
window in_order as (partition by customer_key order by date_number nulls last)
