with events as (
    select * from {{ source('raw', 'events') }}
    where {{ of_touched_customers('_customer_key') }}
        and {{ has_dataset('events') | lower }}
)

select
    events.event_id,
    events._customer_key as customer_key,
    {{ business_day_of_many('events', 'occurred_at') }} as occurred_date,
    {{ instant('events.occurred_at') }} as occurred_at,
    events.event,
    events.duration_seconds,
    events._load_id as load_id
from events
{{ join_utc_days('events', 'occurred_at') }}
