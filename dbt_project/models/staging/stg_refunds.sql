with refunds as (
    select * from {{ source('raw', 'orders') }}
    where refund_of is not null
        and amount < 0
        and status in ('paid', 'refunded')
        and not coalesce(is_test, false)
        and {{ has_dataset('orders') | lower }}
),

orders as (
    select * from {{ source('raw', 'orders') }}
    where amount >= 0
)

select
    refunds.order_id as refund_id,
    orders.order_id,
    orders.amount,
    -refunds.amount as refund,
    {{ business_day('refunds.ordered_at') }} as refunded_date,
    refunds._load_id as load_id
from refunds
inner join orders
    on refunds.refund_of = orders.order_id
    and refunds.currency = orders.currency
