with calendar as (
    select * from {{ ref('int_calendar') }}
),

periods as (
    select distinct
        grain,
        period_start,
        period_end,
        close_date
    from calendar
)

select
    grain,
    cast(row_number() over (partition by grain order by period_start nulls last) as integer) as period_number,
    period_start,
    period_end,
    close_date,
    period_end <= {{ as_of() }} as is_complete
from periods
