with payments as (
    select * from {{ source('raw', 'payments') }}
    where {{ of_touched_customers('_customer_key') }}
)

select
    payment_id,
    coalesce(invoice_id, payment_id) as invoice_id,
    _customer_key as customer_key,
    subscription_id,
    {{ business_day('attempted_at') }} as attempted_date,
    {{ instant('attempted_at') }} as attempted_at,
    amount,
    currency,
    status,
    failure_reason,
    _load_id as load_id
from payments
