{{ config(materialized='by_customer') }}
with orders as (
    {{ counted_orders() }}
),

days as (
    select
        customer_key,
        ordered_date as purchase_date,
        cast(count(*) as bigint) as orders,
        cast(sum(revenue) as decimal(18, 2)) as revenue
    from orders
    group by
        customer_key,
        ordered_date
)

select
    customer_key,
    purchase_date,
    orders,
    revenue,
    cast(row_number() over (partition by customer_key order by purchase_date nulls last) as integer) as day_number,
    lag(purchase_date) over (partition by customer_key order by purchase_date nulls last) as previous_date,
    lead(purchase_date) over (partition by customer_key order by purchase_date nulls last) as next_date
from days
