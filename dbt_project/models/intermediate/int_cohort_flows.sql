{{ config(materialized='contributions', flow_keys=['grain', 'basis', 'segment_dimension', 'segment_value', 'cohort_number', 'period_number']) }}
{%- set columns = {'members': 'bigint', 'ever_active': 'bigint', 'active_purchases': 'bigint', 'active_change': 'bigint', 'last_active': 'bigint',
    'order_revenue': 'decimal(38, 2)', 'mrr_change': 'decimal(38, 6)'} %}
{%- set row_columns = narrow(columns) %}
{#- Grouping by one number is cheaper than by four columns: a cell is basis, cohort and period in one. -#}
{%- set bases = ['order', 'subscription', 'any'] %}
{%- set places = 1048576 %}
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
        case cohort_members.basis{% for basis in bases %} when '{{ basis }}' then {{ loop.index0 }}{% endfor %} end
            + case when cohort_members.is_only_basis then {{ bases | length }} else 0 end as basis_number,
        cohort_members.customer_key,
        cohort_members.profile_key,
        cast(calendar.period_number as bigint) as cohort_number
    from cohort_members
    inner join calendar
        on cohort_members.cohort_date = calendar.calendar_date
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

{# Subscriptions: a span covers the periods from its start to its last day; where the span before reaches into the same period, from the next one. #}
covers as (
    select
        spans.customer_key,
        start_calendar.period_number
            + case when spans.previous_end_date > start_calendar.period_start then 1 else 0 end as from_number,
        last_calendar.period_number as last_number,
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
        members.basis_number,
        members.profile_key,
        members.cohort_number,
        greatest(covers.from_number, members.cohort_number) as from_number,
        case when covers.last_number is not null then greatest(covers.last_number + 1, members.cohort_number) end as to_number,
        covers.last_number,
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

{# The last activity of those customers: of the last purchase and the last counted day the later one; null while they are active. #}
last_activities as (
    select
        members.profile_key,
        members.cohort_number,
        members.customer_key,
        case when max(activity.is_open) = 0 then max(activity.period_number) end as last_number
    from members
    inner join (
        select customer_key, period_number, 0 as is_open from purchases where is_last = 1
        union all
        select customer_key, coalesce(last_number, from_number) as period_number, case when last_number is null then 1 else 0 end as is_open
        from covers
        where is_last = 1
    ) as activity
        on members.customer_key = activity.customer_key
    where members.basis = 'any'
    group by
        members.profile_key,
        members.cohort_number,
        members.customer_key
    having max(activity.is_open) = 1
        or max(activity.period_number) >= members.cohort_number
),

mrr_by_period as (
    select
        members.basis,
        members.basis_number,
        members.profile_key,
        members.cohort_number,
        greatest(calendar.period_number, members.cohort_number) as period_number,
        mrr_changes.mrr_after - mrr_changes.mrr_before as mrr_change
    from mrr_changes
    inner join calendar
        on mrr_changes.change_date = calendar.calendar_date
    inner join members
        on mrr_changes.customer_key = members.customer_key
        and members.basis = 'subscription'
    where mrr_changes.currency = '{{ var("reporting_currency") }}'
),

{# `ever_active` counts members with an activity in their cohort's period or later; `last_active` those whose last one this is. #}
contributions as (
    select (basis_number * {{ places }} + cohort_number) * {{ places }} + cohort_number as cell, profile_key, {{ only(row_columns, {'members': '1'}) }}
    from members
    union all
    select
        (members.basis_number * {{ places }} + members.cohort_number) * {{ places }} + purchases.period_number as cell,
        members.profile_key,
        {{ only(row_columns, {'active_purchases': 'purchases.is_first_in_period', 'last_active': 'purchases.is_last', 'order_revenue': 'purchases.revenue'}) }}
    from purchases
    inner join members
        on purchases.customer_key = members.customer_key
        and members.basis = 'order'
        and members.cohort_number <= purchases.period_number
    union all
    select
        (members.basis_number * {{ places }} + members.cohort_number) * {{ places }} + members.cohort_number as cell,
        members.profile_key,
        {{ only(row_columns, {'ever_active': '1'}) }}
    from purchases
    inner join members
        on purchases.customer_key = members.customer_key
        and members.basis = 'order'
        and members.cohort_number <= purchases.period_number
    where purchases.is_last = 1
    union all
    select (basis_number * {{ places }} + cohort_number) * {{ places }} + from_number as cell, profile_key, {{ only(row_columns, {'active_change': '1'}) }}
    from member_covers
    union all
    select (basis_number * {{ places }} + cohort_number) * {{ places }} + to_number as cell, profile_key, {{ only(row_columns, {'active_change': '-1'}) }}
    from member_covers
    where to_number is not null
    union all
    select (basis_number * {{ places }} + cohort_number) * {{ places }} + cohort_number as cell, profile_key, {{ only(row_columns, {'ever_active': 'is_last'}) }}
    from member_covers
    where basis = 'subscription'
        and (last_number is null or last_number >= cohort_number)
    union all
    select (basis_number * {{ places }} + cohort_number) * {{ places }} + last_number as cell, profile_key, {{ only(row_columns, {'last_active': 'is_last'}) }}
    from member_covers
    where basis = 'subscription'
        and last_number >= cohort_number
    union all
    select (2 * {{ places }} + cohort_number) * {{ places }} + period_number as cell, profile_key, {{ only(row_columns, {'active_purchases': '1'}) }}
    from uncovered_purchases
    union all
    select (2 * {{ places }} + cohort_number) * {{ places }} + cohort_number as cell, profile_key, {{ only(row_columns, {'ever_active': '1'}) }}
    from last_activities
    union all
    select (2 * {{ places }} + cohort_number) * {{ places }} + last_number as cell, profile_key, {{ only(row_columns, {'last_active': '1'}) }}
    from last_activities
    where last_number is not null
    union all
    select (basis_number * {{ places }} + cohort_number) * {{ places }} + period_number as cell, profile_key, {{ only(row_columns, {'mrr_change': 'mrr_change'}) }}
    from mrr_by_period
),

sums as (
    {{ rows_by_segment('contributions', ['cell'], columns) }}
),

decoded as (
    select
        {{ int_div('cell', places * places) }} % {{ bases | length }} as basis_number,
        cell >= {{ bases | length * places * places }} as is_only_basis,
        cast({{ int_div('cell', places) }} % {{ places }} as integer) as cohort_number,
        cast(cell % {{ places }} as integer) as period_number,
        segment_dimension,
        segment_value,
        {{ columns | join(', ') }}
    from sums
),

named as (
    select
        case basis_number{% for basis in bases %} when {{ loop.index0 }} then '{{ basis }}'{% endfor %} end as basis,
        is_only_basis,
        cohort_number,
        period_number,
        segment_dimension,
        segment_value,
        {{ columns | join(', ') }}
    from decoded
),

with_any as (
    {{ and_any('named', ['cohort_number', 'period_number', 'segment_dimension', 'segment_value'] + (columns | list)) }}
)

select
    cast({{ this_grain() }} as string) as grain,
    basis,
    segment_dimension,
    segment_value,
    cohort_number,
    period_number,
{%- for column, type in columns.items() %}
    cast(sum({{ column }}) as {{ type }}) as {{ column }}{{ ',' if not loop.last }}
{%- endfor %}
from with_any
group by
    basis,
    segment_dimension,
    segment_value,
    cohort_number,
    period_number
