{{ config(materialized='by_customer') }}
{#- A customer and a grain, or `any`, are one number (macros/numbers.sql). -#}
{%- set grain_names = grains() + ['any'] %}
{%- set places = grain_names | length %}
{%- set any = grain_names.index('any') %}
with segment_spans as (
    select * from {{ fact('int_segment_spans') }}
),

segment_values as (
    select * from {{ ref('int_segment_values') }}
),

first_facts as (
    select * from {{ fact('int_first_facts') }}
),

calendar as (
    select
        calendar_date,
        period_start,
        period_end,
        {{ number_of('grain', grains()) }} as grain_number
    from {{ ref('int_calendar') }}
),

periods as (
    select
        period_start,
        {{ number_of('grain', grains()) }} as grain_number
    from {{ ref('int_periods') }}
),

{# Values of customers that have facts; the share of each value in the profile key. #}
weighted as (
    select
        {{ number_of('segment_spans.dimension', ['all'] + var('segments')) }} as dimension_number,
        segment_spans.customer_key,
        segment_spans.start_date,
        segment_spans.is_first_value,
        first_facts.first_fact_date,
        {{ value_weight('segment_spans.dimension', 'segment_values.value_number') }} as weight
    from segment_spans
    inner join segment_values
        on segment_spans.dimension = segment_values.dimension
        and segment_spans.segment_value = segment_values.segment_value
    inner join first_facts
        on segment_spans.customer_key = first_facts.customer_key
),

{# One profile for ever: no dimension changes, and every value was there at the customer's first fact. #}
summed as (
    select
        customer_key,
        cast(sum(weight) as bigint) as profile_key,
        max(case when not is_first_value or start_date > first_fact_date then 1 else 0 end) as is_moving
    from weighted
    group by customer_key
),

{# What a value adds to the key when it takes the place of the one before in its dimension. #}
moving as (
    select
        weighted.customer_key,
        weighted.start_date,
        weighted.is_first_value,
        weighted.weight - lag(weighted.weight, 1, cast(0 as bigint)) over (
            partition by weighted.customer_key * {{ var('segments') | length + 1 }} + weighted.dimension_number order by weighted.start_date nulls last
        ) as step
    from weighted
    inner join summed
        on weighted.customer_key = summed.customer_key
    where summed.is_moving = 1
),

{# From which period on a value is used. A first value: in the period in which it comes; a later one: in the period that opens after its day. #}
steps as (
    select
        calendar.grain_number,
        moving.customer_key,
        case when moving.is_first_value then calendar.period_start else calendar.period_end end as from_period,
        moving.step
    from moving
    inner join calendar
        on greatest(moving.start_date, {{ first_calendar_day() }}) = calendar.calendar_date
),

{# The 12-month figures look at [close - 12 months, close): there a later value is used from the first close whose start of the look-back lies after its day.
   That is a day, whatever the grain: a period uses the value of the last day before its close. #}
dated_steps as (
    select
        steps.customer_key * {{ places }} + steps.grain_number as owner,
        steps.from_period,
        steps.step
    from steps
    inner join periods
        on steps.grain_number = periods.grain_number
        and steps.from_period = periods.period_start
    union all
    select
        customer_key * {{ places }} + {{ any }} as owner,
        case when is_first_value then start_date else {{ twelve_months_after('start_date') }} end as from_period,
        step
    from moving
),

{# Of several values first used in one period the last one is: their steps add up to it. #}
period_steps as (
    select
        owner,
        from_period,
        cast(sum(step) as bigint) as step
    from dated_steps
    group by
        owner,
        from_period
),

moving_spans as (
    select
        owner % {{ places }} as grain_number,
        {{ int_div('owner', places) }} as customer_key,
        from_period,
        lead(from_period, 1, {{ last_day() }}) over (partition by owner order by from_period nulls last) as to_period,
        cast(sum(step) over (partition by owner order by from_period nulls last rows unbounded preceding) as bigint) as profile_key,
        step
    from period_steps
    where step <> 0
)

select
    'any' as rule,
    'any' as grain,
    customer_key,
    {{ first_day() }} as from_period,
    {{ last_day() }} as to_period,
    profile_key,
    cast(0 as bigint) as profile_before
from summed
where is_moving = 0
union all
select
    case grain_number when {{ any }} then '12m' else 'period' end as rule,
    {{ name_of('grain_number', grain_names) }} as grain,
    customer_key,
    from_period,
    to_period,
    profile_key,
    profile_key - step as profile_before
from moving_spans
{%- if behaviour_dimensions() %}
union all
select
    'any' as rule,
    'any' as grain,
    cast(0 as bigint) as customer_key,
    {{ first_day() }} as from_period,
    {{ last_day() }} as to_period,
    cast({{ profile_of_nobody() }} as bigint) as profile_key,
    cast(0 as bigint) as profile_before
{%- endif %}
