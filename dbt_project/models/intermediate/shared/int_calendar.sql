with days as (
    select {{ add_days(first_calendar_day(), 'numbers.n') }} as calendar_date
    from {{ numbers(calendar_days()) }} as numbers
),

starts as (
{%- for grain in grains() %}
    select
        '{{ grain }}' as grain,
        calendar_date,
        {{ period_start(grain, 'calendar_date') }} as period_start
    from days
    {% if not loop.last %}union all{% endif %}
{%- endfor %}
),

ends as (
    select
        grain,
        calendar_date,
        period_start,
        case grain
{%- for grain in grains() %}
            when '{{ grain }}' then {{ period_end(grain, 'period_start') }}
{%- endfor %}
        end as period_end
    from starts
)

select
    grain,
    calendar_date,
    period_start,
    period_end,
    least(period_end, {{ as_of() }}) as close_date
from ends
