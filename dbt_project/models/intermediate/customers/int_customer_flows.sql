{{ config(materialized='contributions', flow_keys=['grain', 'period_start', 'basis', 'segment_dimension', 'segment_value']) }}
{%- set counts = customer_counts() %}
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

{{ customer_contributions(counts) }},

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
