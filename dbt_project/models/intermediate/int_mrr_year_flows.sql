{{ config(materialized='contributions', flow_keys=['grain', 'period_start', 'profile_key', 'owner_key', 'currency', 'mrr_before', 'mrr_now']) }}
with calendar as (
    select * from {{ ref('int_calendar') }}
    where grain = {{ this_grain() }}
),

profiles as (
    {{ profiles_of_periods(rule='12m') }}
),

profile_changes as (
    {{ profile_changes(rule='12m') }}
),

changes as (
    select * from {{ fact('int_mrr_changes') }}
),

{# Customers of several currencies are kept apart (owner), as what is kept is the lesser of two sums over currencies. #}
owners as (
    select
        customer_key,
        case when min(currency) = max(currency) then cast(0 as bigint) else customer_key end as owner_key
    from changes
    group by customer_key
),

{# The MRR of 12 months before is the same staircase, 12 months later. #}
steps as (
    select
        customer_key,
        currency,
        change_date as step_date,
        cast(0 as decimal(18, 6)) as step_before,
        mrr_after - mrr_before as step_now
    from changes
    where mrr_after <> mrr_before
    union all
    select
        customer_key,
        currency,
        {{ twelve_months_after('change_date') }} as step_date,
        mrr_after - mrr_before as step_before,
        cast(0 as decimal(18, 6)) as step_now
    from changes
    where mrr_after <> mrr_before
),

visited as (
    select
        steps.customer_key,
        steps.currency,
        calendar.period_start,
        steps.step_before,
        steps.step_now
    from steps
    inner join calendar
        on steps.step_date = calendar.calendar_date
    union all
    select
        profile_changes.customer_key,
        currencies.currency,
        profile_changes.period_start,
        cast(0 as decimal(18, 6)) as step_before,
        cast(0 as decimal(18, 6)) as step_now
    from profile_changes
    inner join (
        select distinct
            customer_key,
            currency
        from changes
    ) as currencies
        on profile_changes.customer_key = currencies.customer_key
),

period_steps as (
    select
        customer_key,
        currency,
        period_start,
        sum(step_before) as step_before,
        sum(step_now) as step_now
    from visited
    group by
        customer_key,
        currency,
        period_start
),

pairs as (
    select
        period_steps.customer_key,
        period_steps.currency,
        period_steps.period_start,
        coalesce(profiles.profile_key, 0) as profile_key,
        owners.owner_key,
        cast(sum(period_steps.step_before) over (
            partition by period_steps.customer_key, period_steps.currency
            order by period_steps.period_start nulls last rows unbounded preceding
        ) as decimal(18, 6)) as mrr_before,
        cast(sum(period_steps.step_now) over (
            partition by period_steps.customer_key, period_steps.currency
            order by period_steps.period_start nulls last rows unbounded preceding
        ) as decimal(18, 6)) as mrr_now
    from period_steps
    inner join owners
        on period_steps.customer_key = owners.customer_key
    {{ join_profile('period_steps') }}
),

left_and_reached as (
    select
        period_start,
        profile_key,
        owner_key,
        currency,
        mrr_before,
        mrr_now,
        1 as customers
    from pairs
    union all
    select
        lead(period_start) over (partition by customer_key, currency order by period_start nulls last) as period_start,
        profile_key,
        owner_key,
        currency,
        mrr_before,
        mrr_now,
        -1 as customers
    from pairs
)

select
    cast({{ this_grain() }} as string) as grain,
    period_start,
    profile_key,
    owner_key,
    currency,
    mrr_before,
    mrr_now,
    cast(sum(customers) as bigint) as customers
from left_and_reached
where period_start is not null
    and (mrr_before > 0 or (owner_key <> 0 and mrr_now > 0))
group by
    period_start,
    profile_key,
    owner_key,
    currency,
    mrr_before,
    mrr_now
having sum(customers) <> 0
