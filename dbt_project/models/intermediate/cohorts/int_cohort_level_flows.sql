{{ config(materialized='contributions', flow_keys=['grain', 'segment_dimension', 'segment_value', 'cohort_number', 'period_number', 'currency', 'mrr']) }}
with cohort_members as (
    select * from {{ fact('int_cohort_members') }}
    where cohort_event = '{{ var("cohort_event") }}'
        and basis = 'subscription'
),

mrr_changes as (
    select * from {{ fact('int_mrr_changes') }}
    where currency <> '{{ var("reporting_currency") }}'
        and mrr_after <> mrr_before
),

profile_values as (
    select * from {{ ref('int_profile_values') }}
),

calendar as (
    select
        calendar.calendar_date,
        periods.period_number
    from {{ ref('int_calendar') }} as calendar
    inner join {{ ref('int_periods') }} as periods
        on calendar.grain = periods.grain
        and calendar.period_start = periods.period_start
    where calendar.grain = {{ this_grain() }}
),

members as (
    select
        cohort_members.customer_key,
        cohort_members.profile_key,
        calendar.period_number as cohort_number
    from cohort_members
    inner join calendar
        on cohort_members.cohort_date = calendar.calendar_date
),

changes as (
    select
        members.profile_key,
        members.cohort_number,
        greatest(calendar.period_number, members.cohort_number) as period_number,
        mrr_changes.currency,
        mrr_changes.mrr_before,
        mrr_changes.mrr_after
    from mrr_changes
    inner join calendar
        on mrr_changes.change_date = calendar.calendar_date
    inner join members
        on mrr_changes.customer_key = members.customer_key
),

{# A change leaves one level and reaches another. #}
levels as (
    select profile_key, cohort_number, period_number, currency, mrr_before as mrr, -1 as customers from changes where mrr_before > 0
    union all
    select profile_key, cohort_number, period_number, currency, mrr_after as mrr, 1 as customers from changes where mrr_after > 0
),

sums as (
    select
        profile_key,
        cohort_number,
        period_number,
        currency,
        mrr,
        sum(customers) as customers
    from levels
    group by
        profile_key,
        cohort_number,
        period_number,
        currency,
        mrr
),

flows as (
    {{ by_segment('sums', ['cohort_number', 'period_number', 'currency', 'mrr'], ['customers']) }}
)

select
    cast({{ this_grain() }} as string) as grain,
    segment_dimension,
    segment_value,
    cohort_number,
    period_number,
    currency,
    mrr,
    customers
from flows
