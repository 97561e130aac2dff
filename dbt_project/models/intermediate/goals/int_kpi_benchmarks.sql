with benchmarks as (
    select * from {{ ref('stg_kpi_benchmarks') }}
)

select
    kpi,
    grain,
    industry,
    benchmark_value as value,
    published_by as source,
    benchmark_year as year
from benchmarks
