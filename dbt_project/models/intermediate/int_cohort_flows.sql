{{ config(materialized='contributions', flow_keys=['grain', 'basis', 'segment_dimension', 'segment_value', 'cohort_number', 'period_number']) }}
{%- set columns = {'members': 'bigint', 'active_change': 'bigint', 'later_change': 'bigint', 'order_revenue': 'decimal(38, 2)', 'mrr_change': 'decimal(38, 6)'} %}
{%- set cohort = ['cohort_number', 'period_number', 'profile_key'] %}
with cohort_members as (
    select * from {{ fact('int_cohort_members') }}
),

purchase_days as (
    select * from {{ fact('int_purchase_days') }}
),

spans as (
    select * from {{ fact('int_active_spans') }}
    where basis = 'subscription'
),

mrr_changes as (
    select * from {{ fact('int_mrr_changes') }}
),

profile_values as (
    select * from {{ ref('int_profile_values') }}
),

periods as (
    select * from {{ ref('int_periods') }}
    where grain = {{ this_grain() }}
),

calendar as (
    select
        calendar.calendar_date,
        calendar.period_start,
        calendar.close_date,
        periods.period_number
    from {{ ref('int_calendar') }} as calendar
    inner join periods
        on calendar.period_start = periods.period_start
    where calendar.grain = {{ this_grain() }}
),

members as (
    select
        cohort_members.basis,
        cohort_members.is_only_basis,
        cohort_members.customer_key,
        cohort_members.profile_key,
        calendar.period_number as cohort_number
    from cohort_members
    inner join calendar
        on cohort_members.cohort_date = calendar.calendar_date
),

sizes as (
    select
        basis,
        is_only_basis,
        profile_key,
        cohort_number,
        cohort_number as period_number,
        count(*) as members
    from members
    group by
        basis,
        is_only_basis,
        profile_key,
        cohort_number
),

{# Purchases: the first day of a customer in a period is an activity of it; the last one before as_of is its last. #}
purchases as (
    select
        purchase_days.customer_key,
        calendar.period_start,
        calendar.close_date,
        calendar.period_number,
        purchase_days.revenue,
        case when purchase_days.previous_date is null or purchase_days.previous_date < calendar.period_start then 1 else 0 end as is_first_in_period,
        case when purchase_days.next_date is null or purchase_days.next_date >= {{ as_of() }} then 1 else 0 end as is_last
    from purchase_days
    inner join calendar
        on purchase_days.purchase_date = calendar.calendar_date
),

order_points as (
    select
        members.basis,
        members.is_only_basis,
        members.profile_key,
        members.cohort_number,
        purchases.period_number,
        sum(purchases.is_first_in_period) as active,
        sum(purchases.is_last) as last_active,
        sum(purchases.revenue) as order_revenue
    from purchases
    inner join members
        on purchases.customer_key = members.customer_key
        and members.basis = 'order'
        and members.cohort_number <= purchases.period_number
    group by
        members.basis,
        members.is_only_basis,
        members.profile_key,
        members.cohort_number,
        purchases.period_number
),

{# Subscriptions: a span covers the periods from its start to its last day; where the span before reaches into the same period, from the next one. #}
covers as (
    select
        spans.customer_key,
        start_calendar.period_number
            + case when spans.previous_end_date > start_calendar.period_start then 1 else 0 end as from_number,
        last_calendar.period_number + 1 as to_number,
        case when spans.next_start_date is null or spans.next_start_date >= {{ as_of() }} then 1 else 0 end as is_last
    from spans
    inner join calendar as start_calendar
        on spans.start_date = start_calendar.calendar_date
    left join calendar as last_calendar
        on {{ add_days('spans.end_date', -1) }} = last_calendar.calendar_date
),

member_covers as (
    select
        members.basis,
        members.is_only_basis,
        members.profile_key,
        members.cohort_number,
        greatest(covers.from_number, members.cohort_number) as from_number,
        case when covers.to_number is not null then greatest(covers.to_number, members.cohort_number) end as to_number,
        covers.is_last
    from covers
    inner join members
        on covers.customer_key = members.customer_key
        and members.basis in ('subscription', 'any')
),

{# Basis any of customers who have both: purchases in periods that no counted day covers come on top of the covers. #}
uncovered_purchases as (
    select
        members.profile_key,
        members.cohort_number,
        purchases.period_number
    from purchases
    inner join members
        on purchases.customer_key = members.customer_key
        and members.basis = 'any'
        and members.cohort_number <= purchases.period_number
    left join spans
        on purchases.customer_key = spans.customer_key
        and spans.start_date < purchases.close_date
        and spans.end_date > purchases.period_start
    where purchases.is_first_in_period = 1
        and spans.customer_key is null
),

{# The last activity of those customers: of the last purchase and the last counted day the later one. #}
last_activities as (
    select
        members.profile_key,
        members.cohort_number,
        members.customer_key,
        max(activity.period_number) as period_number
    from members
    inner join (
        select customer_key, period_number from purchases where is_last = 1
        union all
        select customer_key, coalesce(to_number - 1, 1000000) as period_number from covers where is_last = 1
    ) as activity
        on members.customer_key = activity.customer_key
    where members.basis = 'any'
        and members.cohort_number <= activity.period_number
    group by
        members.profile_key,
        members.cohort_number,
        members.customer_key
),

{# MRR by cohort in the reporting currency; foreign money is in int_cohort_level_flows. #}
members_of_subscriptions as (
    select * from members
    where basis = 'subscription'
),

mrr_by_period as (
    select
        members.basis,
        members.is_only_basis,
        members.profile_key,
        members.cohort_number,
        greatest(calendar.period_number, members.cohort_number) as period_number,
        sum(mrr_changes.mrr_after - mrr_changes.mrr_before) as mrr_change
    from mrr_changes
    inner join calendar
        on mrr_changes.change_date = calendar.calendar_date
    inner join members_of_subscriptions as members
        on mrr_changes.customer_key = members.customer_key
    where mrr_changes.currency = '{{ var("reporting_currency") }}'
    group by
        members.basis,
        members.is_only_basis,
        members.profile_key,
        members.cohort_number,
        greatest(calendar.period_number, members.cohort_number)
),

contributions as (
    select basis, is_only_basis, {{ cohort | join(', ') }}, {{ only(columns, {'members': 'members'}) }} from sizes
    union all
    select basis, is_only_basis, {{ cohort | join(', ') }}, {{ only(columns, {'active_change': 'active', 'order_revenue': 'order_revenue'}) }}
    from order_points
    union all
    select basis, is_only_basis, cohort_number, cohort_number as period_number, profile_key, {{ only(columns, {'later_change': 'last_active'}) }}
    from order_points
    union all
    select basis, is_only_basis, cohort_number, period_number + 1 as period_number, profile_key,
        {{ only(columns, {'active_change': '-active', 'later_change': '-last_active'}) }}
    from order_points
    union all
    select basis, is_only_basis, cohort_number, from_number as period_number, profile_key, {{ only(columns, {'active_change': '1'}) }}
    from member_covers
    union all
    select basis, is_only_basis, cohort_number, to_number as period_number, profile_key, {{ only(columns, {'active_change': '-1'}) }}
    from member_covers
    where to_number is not null
    union all
    select basis, is_only_basis, cohort_number, cohort_number as period_number, profile_key, {{ only(columns, {'later_change': 'is_last'}) }}
    from member_covers
    where basis = 'subscription' and (to_number is null or to_number > cohort_number)
    union all
    select basis, is_only_basis, cohort_number, to_number as period_number, profile_key, {{ only(columns, {'later_change': '-is_last'}) }}
    from member_covers
    where basis = 'subscription' and to_number > cohort_number
    union all
    select 'any' as basis, false as is_only_basis, cohort_number, period_number, profile_key, {{ only(columns, {'active_change': '1'}) }}
    from uncovered_purchases
    union all
    select 'any' as basis, false as is_only_basis, cohort_number, period_number + 1 as period_number, profile_key, {{ only(columns, {'active_change': '-1'}) }}
    from uncovered_purchases
    union all
    select 'any' as basis, false as is_only_basis, cohort_number, cohort_number as period_number, profile_key, {{ only(columns, {'later_change': '1'}) }}
    from last_activities
    union all
    select 'any' as basis, false as is_only_basis, cohort_number, period_number + 1 as period_number, profile_key, {{ only(columns, {'later_change': '-1'}) }}
    from last_activities
    union all
    select basis, is_only_basis, {{ cohort | join(', ') }}, {{ only(columns, {'mrr_change': 'mrr_change'}) }} from mrr_by_period
),

sums as (
    {{ and_any('contributions', cohort + (columns | list)) }}
),

flows as (
    {{ by_segment('sums', ['basis', 'cohort_number', 'period_number'], columns | list, columns) }}
)

select
    {{ this_grain() }} as grain,
    basis,
    segment_dimension,
    segment_value,
    cohort_number,
    period_number,
{%- for column in columns %}
    {{ column }}{{ ',' if not loop.last }}
{%- endfor %}
from flows
