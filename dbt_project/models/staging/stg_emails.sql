with emails as (
    select * from {{ source('raw', 'emails') }}
    where {{ of_touched_customers('_customer_key') }}
        and {{ has_dataset('emails') | lower }}
)

select
    emails.message_id,
    emails._customer_key as customer_key,
    emails.event,
    {{ business_day_of_many('emails', 'occurred_at') }} as occurred_date,
    {{ instant('emails.occurred_at') }} as occurred_at,
    coalesce(emails.is_machine, false) as is_machine,
    emails._load_id as load_id
from emails
{{ join_utc_days('emails', 'occurred_at') }}
