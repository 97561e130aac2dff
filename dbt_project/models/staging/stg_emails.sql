with emails as (
    select * from {{ source('raw', 'emails') }}
    where {{ of_touched_customers('_customer_key') }}
        and {{ has_dataset('emails') | lower }}
)

select
    message_id,
    _customer_key as customer_key,
    event,
    {{ business_day('occurred_at') }} as occurred_date,
    {{ instant('occurred_at') }} as occurred_at,
    coalesce(is_machine, false) as is_machine,
    _load_id as load_id
from emails
