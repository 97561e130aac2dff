with surveys as (
    select * from {{ source('raw', 'surveys') }}
    where {{ of_touched_customers('_customer_key') }}
        and {{ has_dataset('surveys') | lower }}
)

select
    response_id,
    _customer_key as customer_key,
    {{ business_day('responded_at') }} as responded_date,
    {{ instant('responded_at') }} as responded_at,
    kind,
    score,
    scale_max,
    _load_id as load_id
from surveys
