{{ config(materialized='contributions', flow_keys=['grain', 'period_start', 'segment_dimension', 'segment_value', 'gap_days', 'purchase_date']) }}
{#- A purchase day d is waited for from d until the next one n, at most 365 days: it is an open wait at the closes B with d < B <= n, and one of n - d days, a gap, at those
    with n < B <= d + 365. So each day makes two steps, one up and one down, of each. An open wait is named by its day, as its length differs from close to close. -#}
{%- set no_date = first_day() %}
{%- set steps = {
    'purchase_date': ['0', 'purchase_date', 'waits'],
    'coalesce(next_date, expiry_date)': ['0', 'purchase_date', '-waits'],
    'next_date': [days_between('purchase_date', 'next_date'), no_date, 'waits'],
    'expiry_date': [days_between('purchase_date', 'next_date'), no_date, '-waits']
} %}
with purchase_days as (
    select
        customer_key,
        purchase_date,
        {{ add_days('purchase_date', 365) }} as expiry_date,
        case when next_date < {{ add_days('purchase_date', 365) }} then next_date end as next_date
    from {{ fact('int_purchase_days') }}
),

calendar as (
    select * from {{ ref('int_calendar') }}
    where grain <> 'week'
),

lasting_profiles as (
    {{ lasting_profiles() }}
),

changing_profiles as (
    {{ changing_profiles() }}
),

{# Of customers with one profile for life, days that are followed on the same day are counted together. #}
lasting_waits as (
    select
        purchase_days.purchase_date,
        purchase_days.next_date,
        purchase_days.expiry_date,
        coalesce(lasting_profiles.profile_key, 0) as profile_key,
        count(*) as waits
    from purchase_days
    left join lasting_profiles
        on purchase_days.customer_key = lasting_profiles.customer_key
    where coalesce(lasting_profiles.profile_key, 0) >= 0
    group by
        purchase_days.purchase_date,
        purchase_days.next_date,
        purchase_days.expiry_date,
        coalesce(lasting_profiles.profile_key, 0)
),

lasting_steps as (
{%- for day, step in steps.items() %}
    select
        {{ day }} as step_date,
        {{ step[0] }} as gap_days,
        {{ step[1] }} as purchase_date,
        profile_key,
        {{ step[2] }} as waits
    from lasting_waits
    {% if loop.index > 2 %}where next_date is not null{% endif %}
    {% if not loop.last %}union all{% endif %}
{%- endfor %}
),

{# Quarters and years are made of months. #}
steps_by_month as (
    select
        calendar.period_start as month_start,
        lasting_steps.gap_days,
        lasting_steps.purchase_date,
        lasting_steps.profile_key,
        sum(lasting_steps.waits) as waits
    from lasting_steps
    inner join calendar
        on lasting_steps.step_date = calendar.calendar_date
        and calendar.grain = 'month'
    group by
        calendar.period_start,
        lasting_steps.gap_days,
        lasting_steps.purchase_date,
        lasting_steps.profile_key
),

sums_by_month as (
    {{ sums_by_segment('steps_by_month', ['month_start', 'gap_days', 'purchase_date'], {'waits': 'bigint'}) }}
),

periods_of_months as (
    select distinct
        months.period_start as month_start,
        calendar.grain,
        calendar.period_start
    from calendar
    inner join calendar as months
        on calendar.calendar_date = months.calendar_date
        and months.grain = 'month'
),

changing_waits as (
    select
        purchase_days.*,
        1 as waits
    from purchase_days
    inner join lasting_profiles
        on purchase_days.customer_key = lasting_profiles.customer_key
        and lasting_profiles.profile_key = -1
),

changing_steps as (
{%- for day, step in steps.items() %}
    select
        customer_key,
        {{ day }} as step_date,
        {{ step[0] }} as gap_days,
        {{ step[1] }} as purchase_date,
        {{ step[2] }} as waits
    from changing_waits
    {% if loop.index > 2 %}where next_date is not null{% endif %}
    {% if not loop.last %}union all{% endif %}
{%- endfor %}
),

profile_changes as (
    {{ profile_changes(all_grains=true) }}
),

{# The waits of customers who change profile at an opening. #}
moves as (
    select
        profile_changes.grain,
        profile_changes.period_start,
        profile_changes.profile_before,
        profile_changes.profile_key,
        case when changing_waits.next_date < profile_changes.period_start then {{ days_between('changing_waits.purchase_date', 'changing_waits.next_date') }} else 0 end as gap_days,
        case when changing_waits.next_date < profile_changes.period_start then {{ no_date }} else changing_waits.purchase_date end as purchase_date
    from profile_changes
    inner join changing_waits
        on profile_changes.customer_key = changing_waits.customer_key
        and changing_waits.purchase_date < profile_changes.period_start
        and profile_changes.period_start <= changing_waits.expiry_date
    where profile_changes.grain <> 'week'
),

steps_by_grain as (
    select
        calendar.grain,
        calendar.period_start,
        changing_steps.gap_days,
        changing_steps.purchase_date,
        coalesce(changing_profiles.profile_key, 0) as profile_key,
        changing_steps.waits
    from changing_steps
    inner join calendar
        on changing_steps.step_date = calendar.calendar_date
    left join changing_profiles
        on changing_steps.customer_key = changing_profiles.customer_key
        and calendar.grain = changing_profiles.grain
        and changing_profiles.from_period <= calendar.period_start
        and calendar.period_start < changing_profiles.to_period
    union all
    select grain, period_start, gap_days, purchase_date, profile_key, 1 as waits from moves
    union all
    select grain, period_start, gap_days, purchase_date, profile_before as profile_key, -1 as waits from moves
),

sums_by_grain as (
    {{ sums_by_segment('steps_by_grain', ['grain', 'period_start', 'gap_days', 'purchase_date'], {'waits': 'bigint'}) }}
),

sums as (
    select * from sums_by_grain
    union all
    select
        periods_of_months.grain,
        periods_of_months.period_start,
        sums_by_month.gap_days,
        sums_by_month.purchase_date,
        sums_by_month.segment_number,
        sums_by_month.waits
    from sums_by_month
    inner join periods_of_months
        on sums_by_month.month_start = periods_of_months.month_start
),

segments as (
    {{ segments_by_number() }}
)

select
    sums.grain,
    sums.period_start,
    segments.segment_dimension,
    segments.segment_value,
    cast(sums.gap_days as integer) as gap_days,
    sums.purchase_date,
    cast(sum(sums.waits) as bigint) as waits
from sums
inner join segments
    on sums.segment_number = segments.segment_number
group by
    sums.grain,
    sums.period_start,
    segments.segment_dimension,
    segments.segment_value,
    sums.gap_days,
    sums.purchase_date
having sum(sums.waits) <> 0
