{{ config(materialized='by_customer') }}
with counted_phases as (
    select * from {{ fact('int_counted_phases') }}
),

fx_rates as (
    select * from {{ ref('int_fx_rates') }}
),

ends_before as (
    select
        *,
        max(end_date) over (
            partition by customer_key order by start_date nulls last, end_date nulls last, subscription_id nulls last
            rows between unbounded preceding and 1 preceding
        ) as end_date_before
    from counted_phases
),

{# Only where phases of a customer overlap does anything have to be compared. #}
overlapping_customers as (
    select distinct customer_key
    from ends_before
    where start_date < end_date_before
),

overlapping as (
    select counted_phases.*
    from counted_phases
    inner join overlapping_customers
        on counted_phases.customer_key = overlapping_customers.customer_key
),

days as (
    select
        customer_key,
        start_date as value_from
    from overlapping
    union
    select
        customer_key,
        end_date as value_from
    from overlapping
    where end_date < {{ last_day() }}
),

candidates as (
    select
        days.customer_key,
        days.value_from,
        overlapping.subscription_id,
        overlapping.phase_start_date,
        overlapping.plan,
        overlapping.currency,
        overlapping.mrr,
        min(overlapping.currency) over (partition by days.customer_key, days.value_from) as first_currency,
        max(overlapping.currency) over (partition by days.customer_key, days.value_from) as last_currency
    from days
    inner join overlapping
        on days.customer_key = overlapping.customer_key
        and days.value_from >= overlapping.start_date
        and days.value_from < overlapping.end_date
),

compared as (
    select
        candidates.*,
        case
            when candidates.first_currency = candidates.last_currency then candidates.mrr
            else {{ mrr_to_reporting('candidates.mrr', 'candidates.currency', 'fx_rates.rate') }}
        end as comparable_mrr
    from candidates
    left join fx_rates
        on candidates.currency = fx_rates.currency
        and candidates.value_from = fx_rates.rate_date
),

ranked as (
    select
        customer_key,
        value_from,
        plan,
        row_number() over (
            partition by customer_key, value_from
            order by comparable_mrr desc nulls last, phase_start_date nulls last, subscription_id nulls last
        ) as place
    from compared
),

plan_days as (
    select
        customer_key,
        value_from,
        plan
    from ranked
    where place = 1
    union all
    select
        ends_before.customer_key,
        ends_before.start_date as value_from,
        ends_before.plan
    from ends_before
    left join overlapping_customers
        on ends_before.customer_key = overlapping_customers.customer_key
    where overlapping_customers.customer_key is null
),

in_order as (
    select
        customer_key,
        value_from,
        plan,
        lag(plan) over (partition by customer_key order by value_from nulls last) as plan_before
    from plan_days
)

select
    customer_key,
    value_from,
    plan as segment_value
from in_order
where plan_before is null
    or plan_before <> plan
