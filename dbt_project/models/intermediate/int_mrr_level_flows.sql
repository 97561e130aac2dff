{{ config(materialized='contributions', flow_keys=['grain', 'period_start', 'profile_key', 'currency', 'mrr', 'list_mrr']) }}
with calendar as (
    select * from {{ ref('int_calendar') }}
    where grain = {{ this_grain() }}
),

profiles as (
    {{ profiles_of_periods() }}
),

profile_changes as (
    {{ profile_changes() }}
),

changes as (
    select * from {{ fact('int_mrr_changes') }}
    where currency <> '{{ var("reporting_currency") }}'
),

dated as (
    select
        changes.*,
        calendar.period_start,
        calendar.close_date
    from changes
    inner join calendar
        on changes.change_date = calendar.calendar_date
),

{# What a customer had before the first change of a period is left, what it has after the last one is reached. #}
levels as (
    select
        customer_key,
        period_start,
        currency,
        mrr_before as mrr,
        list_before as list_mrr,
        -1 as customers
    from dated
    where previous_change_date < period_start
        and mrr_before > 0
    union all
    select
        customer_key,
        period_start,
        currency,
        mrr_after as mrr,
        list_after as list_mrr,
        1 as customers
    from dated
    where next_change_date >= close_date
        and mrr_after > 0
),

moved as (
    {{ moved_mrr() }}
),

flows as (
    select
        levels.period_start,
        coalesce(profiles.profile_key, 0) as profile_key,
        levels.currency,
        levels.mrr,
        levels.list_mrr,
        levels.customers,
        0 as moved_customers
    from levels
    {{ join_profile('levels') }}
{%- for profile, customers in [('profile_before', -1), ('profile_key', 1)] %}
    union all
    select
        period_start,
        {{ profile }} as profile_key,
        currency,
        mrr,
        list_mrr,
        {{ customers }} as customers,
        {{ customers }} as moved_customers
    from moved
    where currency <> '{{ var("reporting_currency") }}'
{%- endfor %}
)

select
    cast({{ this_grain() }} as string) as grain,
    period_start,
    profile_key,
    currency,
    mrr,
    list_mrr,
    cast(sum(customers) as bigint) as customers,
    cast(sum(moved_customers) as bigint) as moved_customers
from flows
group by
    period_start,
    profile_key,
    currency,
    mrr,
    list_mrr
having sum(customers) <> 0
    or sum(moved_customers) <> 0
