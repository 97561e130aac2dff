{{ config(materialized='contributions', flow_keys=['grain', 'period_start', 'plan', 'currency', 'mrr']) }}
with counted_phases as (
    select * from {{ fact('int_counted_phases') }}
),

calendar as (
    select * from {{ ref('int_calendar') }}
    where grain = {{ this_grain() }}
),

boundaries as (
    select start_date as boundary_date, plan, currency, mrr, 1 as phases from counted_phases
    union all
    select end_date as boundary_date, plan, currency, mrr, -1 as phases from counted_phases
)

select
    cast({{ this_grain() }} as string) as grain,
    calendar.period_start,
    boundaries.plan,
    boundaries.currency,
    boundaries.mrr,
    cast(sum(boundaries.phases) as bigint) as phases
from boundaries
inner join calendar
    on boundaries.boundary_date = calendar.calendar_date
group by
    calendar.period_start,
    boundaries.plan,
    boundaries.currency,
    boundaries.mrr
