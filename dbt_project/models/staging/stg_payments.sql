with payments as (
    select * from {{ source('raw', 'payments') }}
    where ({{ of_touched_customers('_customer_key') }}
{%- if is_at_night() %}
        {#- An invoice is that of its first attempt, whoever the others are of. #}
        or invoice_id in (select invoice_id from {{ source('raw', 'payments') }} where {{ of_touched_customers('_customer_key') }})
{%- endif %})
        and {{ has_dataset('payments') | lower }}
)

select
    payment_id,
    coalesce(invoice_id, payment_id) as invoice_id,
    invoice_id is null as is_lone,
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
