with counts as (
    select * from {{ ref('int_engagement_counts') }}
    where counted = 'duration_seconds'
),

periods as (
    select * from {{ ref('int_periods') }}
)

select
    counts.grain,
    counts.period_start,
    counts.basis,
    counts.segment_dimension,
    counts.segment_value,
    counts.position as duration_seconds,
    counts.number_change as events
from counts
inner join periods
    on counts.grain = periods.grain
    and counts.period_start = periods.period_start
where {{ after_history_start('periods.period_end') }}
