with targets as (
    select * from {{ ref('stg_kpi_targets') }}
)

select
    kpi,
    grain,
    basis,
    segment_dimension,
    segment_value,
    start_date as start_on,
    due_date as due_on,
    baseline,
    target
from targets
