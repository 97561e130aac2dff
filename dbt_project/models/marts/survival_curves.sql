{%- set curve = ['basis', 'segment_dimension', 'segment_value'] %}
{%- set z = '1.959964e0' %}
with members as (
    select * from {{ ref('int_cohort_members') }}
    where cohort_event = 'first_activity'
        and cohort_date < {{ as_of() }}
),

members_of_bases as (
    {{ and_any('members', ['profile_key', 'cohort_date', 'first_end_date']) }}
),

profile_values as (
    select * from {{ ref('int_profile_values') }}
),

{# A life ends with the first span, or goes on at as_of. #}
lives as (
    select
        basis,
        profile_key,
        {{ days_between('cohort_date', 'least(first_end_date, ' ~ as_of() ~ ')') }} as t,
        {{ count_where('first_end_date < ' ~ as_of()) }} as events,
        {{ count_where('first_end_date >= ' ~ as_of()) }} as censored
    from members_of_bases
    where {{ life_is_whole('basis', 'cohort_date') }}
    group by
        basis,
        profile_key,
        {{ days_between('cohort_date', 'least(first_end_date, ' ~ as_of() ~ ')') }}
),

{# Everybody is alive on day 0. #}
durations as (
    {{ by_segment('lives', ['basis', 't'], ['events', 'censored']) }}
    union all
    select distinct
        lives.basis,
        0 as t,
        profile_values.segment_dimension,
        profile_values.segment_value,
        cast(0 as bigint) as events,
        cast(0 as bigint) as censored
    from lives
    inner join profile_values
        on lives.profile_key = profile_values.profile_key
),

steps as (
    {{ survival_steps('durations', curve) }}
),

{# The standard error of ln(-ln S) is sqrt(greenwood) / -ln S; a limit of it, taken back, is S to the power of e to the z standard errors. #}
bounded as (
    select
        *,
        case when survival > 0 and survival < 1 then exp({{ z }} * sqrt(greenwood) / -ln(survival)) end as power
    from steps
)

select
    basis,
    segment_dimension,
    segment_value,
    cast(t as integer) as t,
    at_risk,
    events,
    censored,
    survival,
    case when power is null then survival else exp(ln(survival) * power) end as ci_low,
    case when power is null then survival else exp(ln(survival) / power) end as ci_high,
    cast(min(case when {{ is_halved('survival') }} then t end) over (partition by {{ curve | join(', ') }}) as integer) as median
from bounded
