with acquisition_costs as (
    select * from {{ source('raw', 'acquisition_costs') }}
)

select
    acquisition_costs.month as cost_month,
    amount,
    currency,
    acquisition_channel,
    _load_id as load_id
from acquisition_costs
