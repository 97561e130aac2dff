with memberships as (
    select * from {{ source('raw', 'memberships') }}
    where {{ of_touched_customers('_customer_key') }}
)

select
    _customer_key as customer_key,
    program,
    {{ business_day('joined_at') }} as joined_date,
    {{ instant('joined_at') }} as joined_at,
    case when left_at is null then {{ last_day() }} else {{ business_day('left_at') }} end as left_date,
    _load_id as load_id
from memberships
