{{ config(materialized='by_customer') }}
with orders as (
    {{ resolved_orders() }}
)

select
    coalesce(customer_key, 0) as customer_key,
    ordered_date,
    exclusion_reason,
    cast(count(*) as bigint) as orders,
    cast(coalesce(sum({{ order_money_to_reporting('amount', 'currency', 'rate') }}), 0) as decimal(38, 2)) as amount
from orders
where exclusion_reason is not null
    and {{ is_since_data_start('ordered_date') }}
group by
    coalesce(customer_key, 0),
    ordered_date,
    exclusion_reason
