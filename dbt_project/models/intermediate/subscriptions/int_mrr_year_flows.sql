{{ config(materialized='contributions', flow_keys=['grain', 'period_start', 'profile_key', 'owner_key', 'currency', 'mrr_before', 'mrr_now']) }}
with calendar as (
    select * from {{ ref('int_calendar') }}
),

changes as (
    select * from {{ fact('int_mrr_changes') }}
    where mrr_after <> mrr_before
),

{# Customers of several currencies are kept apart (owner), as what is kept is the lesser of two sums over currencies. #}
owners as (
    select
        customer_key,
        case when min(currency) = max(currency) then cast(0 as bigint) else customer_key end as owner_key
    from changes
    group by customer_key
),

currencies as (
    select distinct
        customer_key,
        currency
    from changes
),

profile_steps as (
    select
        customer_key,
        from_period as step_date,
        profile_key - lag(profile_key, 1, cast(0 as bigint)) over (
            partition by customer_key order by from_period nulls last
        ) as profile_step
    from {{ fact('int_profile_spans') }}
    where rule in ('any', '12m')
        and customer_key in (select customer_key from owners)
),

{# Three staircases of days: the MRR, the same 12 months later (the MRR of 12 months before) and the profile. #}
steps as (
    select
        customer_key,
        currency,
        change_date as step_date,
        cast(0 as decimal(24, 6)) as step_before,
        mrr_after - mrr_before as step_now,
        cast(0 as bigint) as profile_step
    from changes
    union all
    select
        customer_key,
        currency,
        {{ twelve_months_after('change_date') }} as step_date,
        mrr_after - mrr_before as step_before,
        cast(0 as decimal(24, 6)) as step_now,
        cast(0 as bigint) as profile_step
    from changes
    union all
    select
        profile_steps.customer_key,
        currencies.currency,
        profile_steps.step_date,
        cast(0 as decimal(24, 6)) as step_before,
        cast(0 as decimal(24, 6)) as step_now,
        profile_steps.profile_step
    from profile_steps
    inner join currencies
        on profile_steps.customer_key = currencies.customer_key
),

{# One row per day, so that the order in the windows below is one. #}
days as (
    select
        customer_key,
        currency,
        step_date,
        sum(step_before) as step_before,
        sum(step_now) as step_now,
        cast(sum(profile_step) as bigint) as profile_step
    from steps
    group by
        customer_key,
        currency,
        step_date
),

pairs as (
    select
        customer_key,
        currency,
        step_date as from_date,
        lead(step_date) over (partition by customer_key, currency order by step_date nulls last) as to_date,
        cast(sum(profile_step) over (
            partition by customer_key, currency order by step_date nulls last rows unbounded preceding
        ) as bigint) as profile_key,
        cast(sum(step_before) over (
            partition by customer_key, currency order by step_date nulls last rows unbounded preceding
        ) as decimal(24, 6)) as mrr_before,
        cast(sum(step_now) over (
            partition by customer_key, currency order by step_date nulls last rows unbounded preceding
        ) as decimal(24, 6)) as mrr_now
    from days
),

owned_pairs as (
    select
        pairs.*,
        owners.owner_key
    from pairs
    inner join owners
        on pairs.customer_key = owners.customer_key
    where (pairs.mrr_before > 0 or (owners.owner_key <> 0 and pairs.mrr_now > 0))
),

{# A period sees what holds on the eve of its close. A pair that is reached and left within a period cancels out in it. #}
reached_and_left as (
    select
        from_date as pair_date,
        profile_key,
        owner_key,
        currency,
        mrr_before,
        mrr_now,
        1 as customers
    from owned_pairs
    union all
    select
        to_date as pair_date,
        profile_key,
        owner_key,
        currency,
        mrr_before,
        mrr_now,
        -1 as customers
    from owned_pairs
    where to_date is not null
)

select
    cast(calendar.grain as string) as grain,
    calendar.period_start,
    reached_and_left.profile_key,
    reached_and_left.owner_key,
    reached_and_left.currency,
    reached_and_left.mrr_before,
    reached_and_left.mrr_now,
    cast(sum(reached_and_left.customers) as bigint) as customers
from reached_and_left
inner join calendar
    on reached_and_left.pair_date = calendar.calendar_date
group by
    calendar.grain,
    calendar.period_start,
    reached_and_left.profile_key,
    reached_and_left.owner_key,
    reached_and_left.currency,
    reached_and_left.mrr_before,
    reached_and_left.mrr_now
having sum(reached_and_left.customers) <> 0
