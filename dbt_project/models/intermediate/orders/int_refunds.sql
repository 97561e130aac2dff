{{ config(materialized='by_customer') }}
with orders as (
    {{ resolved_orders() }}
),

{# Beyond what was paid there is nothing to refund. #}
refund_rows as (
    select
        order_id,
        refunded_date,
        least(refunded_until_then, amount) - least(refunded_until_then - refund, amount) as refund
    from (
        select
            order_id,
            refunded_date,
            amount,
            refund,
            sum(refund) over (
                partition by order_id
                order by refunded_date asc nulls last, refund_id asc nulls last
                rows between unbounded preceding and current row
            ) as refunded_until_then
        from {{ ref('stg_refunds') }}
    ) as refund_rows
),

dated as (
    select
        customer_key,
        refunded_date,
        currency,
        rate,
        refund - refund_rows as refund
    from orders
    where not is_test
    union all
    select
        orders.customer_key,
        refund_rows.refunded_date,
        orders.currency,
        orders.rate,
        refund_rows.refund
    from orders
    inner join refund_rows
        on orders.order_id = refund_rows.order_id
    where not orders.is_test
),

refunds as (
    select
        coalesce(customer_key, 0) as customer_key,
        refunded_date,
        {{ order_money_to_reporting('refund', 'currency', 'rate') }} as refunded
    from dated
    where refund <> 0
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
