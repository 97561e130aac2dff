with orders as (
    select * from {{ source('raw', 'orders') }}
    where {{ of_touched_customers('_customer_key') }}
        and {{ has_dataset('orders') | lower }}
)

select
    orders.order_id,
    orders._customer_key as customer_key,
    {{ business_day_of_many('orders', 'ordered_at') }} as ordered_date,
    {{ instant('orders.ordered_at') }} as ordered_at,
    orders.amount,
    orders.currency,
    orders.status,
    orders.refunded_amount,
    {{ business_day('orders.refunded_at') }} as refunded_date,
    coalesce(orders.is_test, false) as is_test,
    orders.channel,
    orders._load_id as load_id
from orders
{{ join_utc_days('orders', 'ordered_at') }}
