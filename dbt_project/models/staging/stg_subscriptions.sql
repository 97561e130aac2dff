with subscriptions as (
    select * from {{ source('raw', 'subscriptions') }}
    where subscription_id in (
        select subscription_id from {{ source('raw', 'subscriptions') }}
        where {{ of_touched_customers('_customer_key') }}
    )
        and {{ has_dataset('subscriptions') | lower }}
)

select
    subscription_id,
    _customer_key as customer_key,
    plan,
    amount,
    quantity,
    recurring_discount,
    currency,
    subscriptions.interval as billing_interval,
    interval_count,
    status,
    {{ business_day('started_at') }} as start_date,
    {{ instant('started_at') }} as started_at,
    case when ended_at is null then {{ last_day() }} else {{ business_day('ended_at') }} end as end_date,
    case when term_ends_at is not null then {{ business_day('term_ends_at') }} end as term_end_date,
    case when cancel_requested_at is not null then {{ business_day('cancel_requested_at') }} end as cancel_requested_date,
    end_reason,
    _load_id as load_id
from subscriptions
