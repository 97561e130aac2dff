{{ config(materialized='view') }}
with flows as (
    select * from {{ ref('int_purchase_gap_flows') }}
),

periods as (
    select * from {{ ref('int_periods') }}
)

select
    flows.grain,
    flows.period_start,
    flows.basis,
    flows.segment_dimension,
    flows.segment_value,
    flows.gap_days,
    flows.purchase_gaps
from flows
inner join periods
    on flows.grain = periods.grain
    and flows.period_start = periods.period_start
where {{ after_history_start('periods.period_end') }}
