with tickets as (
    select * from {{ source('raw', 'tickets') }}
    where {{ of_touched_customers('_customer_key') }}
        and {{ has_dataset('tickets') | lower }}
)

select
    ticket_id,
    _customer_key as customer_key,
    {{ business_day('opened_at') }} as opened_date,
    {{ instant('opened_at') }} as opened_at,
    case when first_reply_at is not null then {{ business_day('first_reply_at') }} end as first_reply_date,
    case when first_reply_at is not null then {{ instant('first_reply_at') }} end as first_reply_at,
    case when resolved_at is not null then {{ business_day('resolved_at') }} end as resolved_date,
    case when resolved_at is not null then {{ instant('resolved_at') }} end as resolved_at,
    reason,
    _load_id as load_id
from tickets
