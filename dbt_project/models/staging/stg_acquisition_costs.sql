with acquisition_costs as (
    select * from {{ source('raw', 'acquisition_costs') }}
    where {{ has_dataset('acquisition_costs') | lower }}
)

select
    acquisition_costs.month as cost_month,
    amount,
    currency,
    acquisition_channel,
    _load_id as load_id
from acquisition_costs
