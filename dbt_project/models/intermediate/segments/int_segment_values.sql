{%- do ref('night_touched') %}
with segment_spans as (
    select * from {{ fact('int_segment_spans') }}
),

{# Numbers stand in profile keys of customers that a night does not touch, so they stay; new values get the next ones. #}
numbered_before as (
{%- if var('night') %}
    select
        dimension,
        segment_value,
        shown_value,
        value_number
    from {{ previous('int_segment_values') }}
{%- else %}
    select
        cast('' as string) as dimension,
        cast('' as string) as segment_value,
        cast('' as string) as shown_value,
        cast(0 as integer) as value_number
    where false
{%- endif %}
),

last_numbers as (
    select
        dimension,
        max(value_number) as value_number
    from numbered_before
    group by dimension
),

counted as (
    select
        segment_spans.dimension,
        segment_spans.segment_value,
        count(*) as customers
    from segment_spans
    left join numbered_before
        on segment_spans.dimension = numbered_before.dimension
        and segment_spans.segment_value = numbered_before.segment_value
    where numbered_before.dimension is null
        and segment_spans.dimension not in ('{{ behaviour_values() | join("', '") }}')
    group by
        segment_spans.dimension,
        segment_spans.segment_value
),

ranked as (
    select
        counted.dimension,
        counted.segment_value,
        greatest(coalesce(last_numbers.value_number, 1), 1)
            + row_number() over (
                partition by counted.dimension, case when counted.segment_value in ('(unknown)', '(other)') then 1 else 0 end
                order by counted.customers desc nulls last, counted.segment_value nulls last
            ) as value_number
    from counted
    left join last_numbers
        on counted.dimension = last_numbers.dimension
)

select
    dimension,
    segment_value,
    shown_value,
    value_number
from numbered_before
union all
{#- A source may deliver our own names: they are the numbers 0 and 1. #}
select
    dimension,
    segment_value,
    case when segment_value = '(unknown)' or value_number <= {{ var('max_segment_values') + 1 }} then segment_value else '(other)' end as shown_value,
    cast(
        case
            when segment_value = '(unknown)' then 0
            when segment_value = '(other)' or value_number > {{ var('max_segment_values') + 1 }} then 1
            else value_number
        end as integer
    ) as value_number
from ranked
{%- for dimension in behaviour_dimensions() if not var('night') %}
{%- for value, number in behaviour_values()[dimension].items() %}
union all
select
    '{{ dimension }}' as dimension,
    '{{ value }}' as segment_value,
    '{{ value }}' as shown_value,
    cast({{ number }} as integer) as value_number
{%- endfor %}
{%- endfor %}
