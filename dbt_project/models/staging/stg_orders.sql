with orders as (
    select * from {{ source('raw', 'orders') }}
    where {{ of_touched_customers('_customer_key') }}
        and {{ has_dataset('orders') | lower }}
)

select
    order_id,
    _customer_key as customer_key,
    {{ business_day('ordered_at') }} as ordered_date,
    {{ instant('ordered_at') }} as ordered_at,
    amount,
    currency,
    status,
    refunded_amount,
    {{ business_day('refunded_at') }} as refunded_date,
    coalesce(is_test, false) as is_test,
    channel,
    _load_id as load_id
from orders
