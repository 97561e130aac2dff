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

{# All currencies of customers who pay in a foreign one: whether they paid at an opening is asked of all. #}
changes as (
    select * from {{ fact('int_mrr_changes') }}
    where customer_key in (select customer_key from {{ fact('int_mrr_changes') }} where currency <> '{{ var("reporting_currency") }}')
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

{# Who did not pay at the opening: new at a first change ever, else back again. #}
comers as (
    select
        customer_key,
        period_start,
        max(case when is_first_change then 1 else 0 end) as is_new
    from dated
    group by
        customer_key,
        period_start
    having not min_by(is_paying_before, change_date)
),

{# What a customer had before the first change of a period is left, what it has after the last one is reached. #}
levels as (
    select
        customer_key,
        period_start,
        currency,
        mrr_before as mrr,
        list_before as list_mrr,
        -1 as customers,
        0 as new_customers,
        0 as reactivated_customers
    from dated
    where previous_change_date < period_start
        and mrr_before > 0
        and currency <> '{{ var("reporting_currency") }}'
    union all
    select
        dated.customer_key,
        dated.period_start,
        dated.currency,
        dated.mrr_after as mrr,
        dated.list_after as list_mrr,
        1 as customers,
        coalesce(comers.is_new, 0) as new_customers,
        coalesce(1 - comers.is_new, 0) as reactivated_customers
    from dated
    left join comers
        on dated.customer_key = comers.customer_key
        and dated.period_start = comers.period_start
    where dated.next_change_date >= dated.close_date
        and dated.mrr_after > 0
        and dated.currency <> '{{ var("reporting_currency") }}'
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
        0 as moved_customers,
        levels.new_customers,
        levels.reactivated_customers
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
        {{ customers }} as moved_customers,
        0 as new_customers,
        0 as reactivated_customers
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
    cast(sum(moved_customers) as bigint) as moved_customers,
    cast(sum(new_customers) as bigint) as new_customers,
    cast(sum(reactivated_customers) as bigint) as reactivated_customers
from flows
group by
    period_start,
    profile_key,
    currency,
    mrr,
    list_mrr
having sum(customers) <> 0
    or sum(moved_customers) <> 0
    or sum(new_customers) <> 0
    or sum(reactivated_customers) <> 0
