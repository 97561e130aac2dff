with kpi_benchmarks as (
    select * from {{ source('raw', 'kpi_benchmarks') }}
)

select
    kpi,
    grain,
    industry,
    kpi_benchmarks.value as benchmark_value,
    kpi_benchmarks.source as published_by,
    cast(kpi_benchmarks.year as integer) as benchmark_year,
    _load_id as load_id
from kpi_benchmarks
