with kpi_targets as (
    select * from {{ source('raw', 'kpi_targets') }}
)

select
    kpi,
    grain,
    basis,
    coalesce(segment_dimension, 'all') as segment_dimension,
    coalesce(segment_value, 'all') as segment_value,
    start_on as start_date,
    due_on as due_date,
    baseline,
    target,
    _load_id as load_id
from kpi_targets
