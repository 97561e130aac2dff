with segment_spans as (
    select * from {{ ref('int_segment_spans') }}
),

counted as (
    select
        dimension,
        segment_value,
        count(*) as customers
    from segment_spans
    group by
        dimension,
        segment_value
),

ranked as (
    select
        dimension,
        segment_value,
        row_number() over (partition by dimension order by customers desc nulls last, segment_value nulls last) as place
    from counted
)

select
    dimension,
    segment_value,
    case when place <= {{ var('max_segment_values') }} then segment_value else '(other)' end as shown_value,
    cast(case when place <= {{ var('max_segment_values') }} then place + 1 else 1 end as integer) as value_number
from ranked
