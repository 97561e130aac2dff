{{ config(materialized='by_customer') }}
with orders as (
    {{ resolved_orders() }}
),

refunds as (
    select
        coalesce(customer_key, 0) as customer_key,
        refunded_date,
        {{ order_money_to_reporting('refund', 'currency', 'rate') }} as refunded
    from orders
    where not is_test
        and refund <> 0
        and {{ is_since_data_start('refunded_date') }}
)

select
    customer_key,
    refunded_date,
    cast(sum(refunded) as decimal(38, 2)) as refunded
from refunds
group by
    customer_key,
    refunded_date
