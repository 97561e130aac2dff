{{ config(materialized='by_customer') }}
with orders as (
    {{ judged_orders() }}
),

identities as (
    select * from {{ ref('int_identities') }}
),

first_days as (
    select * from {{ fact('int_purchase_days') }}
    where day_number = 1
),

ranked as (
    select
        first_days.customer_key,
        first_days.purchase_date,
        orders.channel,
        row_number() over (partition by first_days.customer_key order by orders.order_id nulls last) as place
    from orders
    left join identities
        on orders.customer_key = identities.alias_key
    inner join first_days
        on coalesce(identities.customer_key, orders.customer_key) = first_days.customer_key
        and orders.ordered_at = first_days.first_ordered_at
    where orders.exclusion_reason is null
)

select
    customer_key,
    purchase_date as ordered_date,
    channel
from ranked
where place = 1
