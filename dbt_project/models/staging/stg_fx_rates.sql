with fx_rates as (
    select * from {{ source('raw', 'fx_rates') }}
)

select
    fx_rates.date as rate_date,
    currency,
    rate_to_reporting,
    _load_id as load_id
from fx_rates
