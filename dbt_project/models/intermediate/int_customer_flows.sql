{{ config(materialized='contributions', flow_keys=['grain', 'period_start', 'basis', 'segment_dimension', 'segment_value']) }}
{%- set counts = ['customers_new', 'customers_reactivated', 'customers_lost', 'customers_transient', 'customers_joined', 'customers_referred', 'churn_events'] %}
with spans as (
    select * from {{ fact('int_active_spans') }}
),

calendar as (
    select * from {{ ref('int_calendar') }}
    where grain = {{ this_grain() }}
),

profiles as (
    {{ profiles_of_periods() }}
),

profile_values as (
    select * from {{ ref('int_profile_values') }}
),

referrals as (
    select * from {{ fact('int_referrals') }}
    where known_date < {{ as_of() }}
),

{# Starts and ends of spans, each knowing by its neighbours whether it is the customer's first or last one in the period. #}
boundaries as (
    select
        spans.basis,
        spans.is_only_basis,
        spans.customer_key,
        calendar.period_start,
        true as is_start,
        spans.span_number = 1 as is_first_ever,
        spans.previous_end_date is null or spans.previous_end_date < calendar.period_start as is_first_in_period,
        spans.end_date >= calendar.close_date as is_last_in_period
    from spans
    inner join calendar
        on spans.start_date = calendar.calendar_date
    union all
    select
        spans.basis,
        spans.is_only_basis,
        spans.customer_key,
        calendar.period_start,
        false as is_start,
        false as is_first_ever,
        spans.start_date < calendar.period_start as is_first_in_period,
        spans.next_start_date is null or spans.next_start_date >= calendar.close_date as is_last_in_period
    from spans
    inner join calendar
        on spans.end_date = calendar.calendar_date
),

{# A period with one boundary of a customer needs no grouping by customer. #}
lone_boundaries as (
    select
        basis,
        is_only_basis,
        customer_key,
        period_start,
        case when is_start and is_first_ever then 1 else 0 end as customers_new,
        case when is_start and not is_first_ever then 1 else 0 end as customers_reactivated,
        case when is_start then 0 else 1 end as customers_lost,
        0 as customers_transient,
        case when is_first_ever then 1 else 0 end as customers_joined,
        0 as customers_referred,
        case when is_start then 0 else 1 end as churn_events
    from boundaries
    where is_first_in_period and is_last_in_period
),

crowded_periods as (
    select
        basis,
        is_only_basis,
        customer_key,
        period_start,
        max(case when is_first_in_period and not is_start then 1 else 0 end) as is_active_at_opening,
        max(case when is_last_in_period and is_start then 1 else 0 end) as is_active_at_close,
        max(case when is_first_ever then 1 else 0 end) as is_joining,
        sum(case when is_start then 0 else 1 end) as churn_events
    from boundaries
    where not (is_first_in_period and is_last_in_period)
    group by
        basis,
        is_only_basis,
        customer_key,
        period_start
),

contributions as (
    select
        basis,
        is_only_basis,
        customer_key,
        period_start,
        {{ counts | join(',\n        ') }}
    from lone_boundaries
    union all
    select
        basis,
        is_only_basis,
        customer_key,
        period_start,
        (1 - is_active_at_opening) * is_active_at_close * is_joining as customers_new,
        (1 - is_active_at_opening) * is_active_at_close * (1 - is_joining) as customers_reactivated,
        is_active_at_opening * (1 - is_active_at_close) as customers_lost,
        (1 - is_active_at_opening) * (1 - is_active_at_close) as customers_transient,
        is_joining as customers_joined,
        0 as customers_referred,
        churn_events
    from crowded_periods
    union all
    select
        boundaries.basis,
        boundaries.is_only_basis,
        boundaries.customer_key,
        boundaries.period_start,
        {% for count in counts %}{{ 1 if count == 'customers_referred' else 0 }} as {{ count }}{{ ', ' if not loop.last }}{% endfor %}
    from boundaries
    inner join referrals
        on boundaries.customer_key = referrals.customer_key
    where boundaries.is_first_ever
),

sums_of_basis as (
    select
        contributions.basis,
        contributions.is_only_basis,
        contributions.period_start,
        coalesce(profiles.profile_key, 0) as profile_key,
{%- for count in counts %}
        cast(sum(contributions.{{ count }}) as bigint) as {{ count }}{{ ',' if not loop.last }}
{%- endfor %}
    from contributions
    {{ join_profile('contributions') }}
    group by
        contributions.basis,
        contributions.is_only_basis,
        contributions.period_start,
        coalesce(profiles.profile_key, 0)
),

sums as (
    {{ and_any('sums_of_basis', ['period_start', 'profile_key'] + counts) }}
),

profile_changes as (
    {{ profile_changes() }}
),

moves_of_basis as (
    select
        spans.basis,
        spans.is_only_basis,
        profile_changes.period_start,
        profile_changes.profile_before,
        profile_changes.profile_key,
        max(case when profile_changes.period_start <= spans.end_date then 1 else 0 end) as customers_moved,
        1 as customers_known
    from profile_changes
    inner join spans
        on profile_changes.customer_key = spans.customer_key
        and spans.start_date < profile_changes.period_start
    group by
        spans.basis,
        spans.is_only_basis,
        spans.customer_key,
        profile_changes.period_start,
        profile_changes.profile_before,
        profile_changes.profile_key
),

moves as (
    {{ and_any('moves_of_basis', ['period_start', 'profile_before', 'profile_key', 'customers_moved', 'customers_known']) }}
),

flows as (
    {{ by_segment('sums', ['basis', 'period_start'], counts) }}
),

moved as (
    {{ moves_by_segment('moves', ['basis', 'period_start'], ['customers_moved', 'customers_known']) }}
)

select
    {{ this_grain() }} as grain,
    coalesce(flows.period_start, moved.period_start) as period_start,
    coalesce(flows.basis, moved.basis) as basis,
    coalesce(flows.segment_dimension, moved.segment_dimension) as segment_dimension,
    coalesce(flows.segment_value, moved.segment_value) as segment_value,
{%- for count in counts %}
    coalesce(flows.{{ count }}, 0) as {{ count }},
{%- endfor %}
    coalesce(moved.customers_moved_in, 0) as customers_moved_in,
    coalesce(moved.customers_moved_out, 0) as customers_moved_out,
    coalesce(moved.customers_known_in, 0) as customers_known_in,
    coalesce(moved.customers_known_out, 0) as customers_known_out
from flows
full outer join moved
    on flows.basis = moved.basis
    and flows.period_start = moved.period_start
    and flows.segment_dimension = moved.segment_dimension
    and flows.segment_value = moved.segment_value
