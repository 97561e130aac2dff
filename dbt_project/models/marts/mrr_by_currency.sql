{{ config(materialized='view') }}
with period_mrr as (
    select * from {{ ref('period_mrr') }}
)

select
    grain,
    period_start,
    segment_dimension,
    segment_value,
    currency,
    mrr_start,
    mrr_end
from period_mrr
where currency <> 'all'
