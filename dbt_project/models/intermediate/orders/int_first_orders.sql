{{ config(materialized='by_customer') }}
with orders as (
    {{ counted_orders() }}
),

{# What a purchase day does not tell: the channel of the first order, and the values of orders that share a day. #}
days as (
    select * from {{ fact('int_purchase_days') }}
    where day_number = 1
        or (orders > 1 and orders_before < {{ order_ranks() }})
),

ranked as (
    select
        days.customer_key,
        days.purchase_date,
        orders.channel,
        orders.revenue,
        days.orders_before + row_number() over (
            partition by days.customer_key, days.purchase_date order by orders.ordered_at nulls last, orders.order_id nulls last
        ) as order_rank
    from days
    inner join orders
        on days.customer_key = orders.customer_key
        and days.purchase_date = orders.ordered_date
)

select
    customer_key,
    purchase_date as ordered_date,
    cast(least(order_rank, {{ order_ranks() + 1 }}) as integer) as order_rank,
    max(case when order_rank = 1 then channel end) as channel,
    cast(count(*) as bigint) as orders,
    cast(sum(revenue) as decimal(38, 2)) as revenue
from ranked
group by
    customer_key,
    purchase_date,
    least(order_rank, {{ order_ranks() + 1 }})
