{{ config(materialized='by_customer') }}
with orders as (
    {{ counted_orders() }}
),

first_days as (
    select * from {{ fact('int_purchase_days') }}
    where day_number = 1
),

ranked as (
    select
        orders.customer_key,
        orders.ordered_date,
        orders.channel,
        row_number() over (partition by orders.customer_key order by orders.ordered_at nulls last, orders.order_id nulls last) as order_number
    from orders
    inner join first_days
        on orders.customer_key = first_days.customer_key
        and orders.ordered_date = first_days.purchase_date
)

select
    customer_key,
    ordered_date,
    channel
from ranked
where order_number = 1
