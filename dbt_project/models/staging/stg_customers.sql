with customers as (
    select * from {{ source('raw', 'customers') }}
    where {{ of_touched_customers('_customer_key') }}
)

select
    _customer_key as customer_key,
    case when valid_from is null then {{ first_day() }} else {{ business_day('valid_from') }} end as valid_from_date,
    case when valid_from is null then cast('0001-01-01' as timestamp) else {{ instant('valid_from') }} end as valid_from,
    case when signed_up_at is not null then {{ business_day('signed_up_at') }} end as signed_up_date,
    country,
    acquisition_channel,
    referred_by,
{%- for dimension in extra_dimensions() %}
    {{ json_text('_extra', dimension) }} as {{ dimension }},
{%- endfor %}
    _load_id as load_id
from customers
