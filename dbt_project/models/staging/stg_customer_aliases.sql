with customer_aliases as (
    select * from {{ source('raw', 'customer_aliases') }}
)

select
    alias_id,
    _alias_key as alias_key,
    _customer_key as customer_key,
    case when valid_from is null then {{ first_day() }} else {{ business_day('valid_from') }} end as valid_from_date,
    _load_id as load_id
from customer_aliases
