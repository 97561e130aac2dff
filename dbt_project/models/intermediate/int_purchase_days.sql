{{ config(materialized='by_customer') }}
with orders as (
    {{ counted_orders() }}
),

days as (
    select
        customer_key,
        ordered_date as purchase_date,
        cast(count(*) as bigint) as orders,
        cast(sum(revenue) as decimal(18, 2)) as revenue,
        min(ordered_at) as first_ordered_at
    from orders
    group by
        customer_key,
        ordered_date
),

numbered as (
    select
        customer_key,
        purchase_date,
        orders,
        revenue,
        first_ordered_at,
        cast(row_number() over (partition by customer_key order by purchase_date nulls last) as integer) as day_number,
        lag(purchase_date) over (partition by customer_key order by purchase_date nulls last) as previous_date,
        lead(purchase_date) over (partition by customer_key order by purchase_date nulls last) as next_date,
        cast(sum(revenue) over (partition by customer_key order by purchase_date nulls last rows unbounded preceding) as decimal(18, 2)) as revenue_to_date
    from days
)

select
    customer_key,
    purchase_date,
    orders,
    revenue,
    day_number,
    previous_date,
    next_date,
    revenue_to_date,
    case when day_number = 1 then first_ordered_at end as first_ordered_at
from numbered
