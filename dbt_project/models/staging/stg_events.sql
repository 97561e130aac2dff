with events as (
    select * from {{ source('raw', 'events') }}
    where {{ of_touched_customers('_customer_key') }}
        and {{ has_dataset('events') | lower }}
)

select
    event_id,
    _customer_key as customer_key,
    {{ business_day('occurred_at') }} as occurred_date,
    {{ instant('occurred_at') }} as occurred_at,
    event,
    duration_seconds,
    _load_id as load_id
from events
