{{ config(materialized='contributions', flow_keys=['grain', 'period_start', 'basis', 'segment_dimension', 'segment_value']) }}
{%- set counts = customer_counts() %}
{#- A cell is a period, by its first day, and a basis, of customers with that basis alone or of the others, in one number (macros/numbers.sql). -#}
{%- set bases = ['order', 'subscription', 'any'] %}
{%- set places = 2 * (bases | length) %}
{%- set cell_of_contribution %}
        {{- day_number('contributions.period_start') }} * {{ places }} + {{ number_of('contributions.basis', bases, 2) }}
            + case when contributions.is_only_basis then 1 else 0 end
{%- endset %}
{%- set parts_of_cell %}
        {{- name_of(int_div('cell % ' ~ places, 2), bases) }} as basis,
        cell % 2 = 1 as is_only_basis,
        {{ numbered_day(int_div('cell', places)) }} as period_start
{%- endset %}
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

sums as (
    select
        {{ cell_of_contribution }} as cell,
        coalesce(profiles.profile_key, 0) as profile_key,
{%- for count in counts %}
        cast(sum(contributions.{{ count }}) as bigint) as {{ count }}{{ ',' if not loop.last }}
{%- endfor %}
    from contributions
    {{ join_profile('contributions') }}
    group by
        {{ cell_of_contribution }},
        coalesce(profiles.profile_key, 0)
),

profile_changes as (
    {{ profile_changes() }}
),

{# What a customer takes along stands in the last span that began before the opening. #}
moves as (
    select
        {{ day_number('profile_changes.period_start') }} * {{ places }} + {{ number_of('spans.basis', bases, 2) }}
            + case when spans.is_only_basis then 1 else 0 end as cell,
        profile_changes.profile_before,
        profile_changes.profile_key,
        case when profile_changes.period_start <= spans.end_date then 1 else 0 end as customers_moved,
        1 as customers_known
    from profile_changes
    inner join spans
        on profile_changes.customer_key = spans.customer_key
        and spans.start_date < profile_changes.period_start
        and (spans.next_start_date is null or profile_changes.period_start <= spans.next_start_date)
),

flows_of_cells as (
    {{ by_segment('sums', ['cell'], counts) }}
),

flows_of_basis as (
    select
        *,
        {{ parts_of_cell }}
    from flows_of_cells
),

flows as (
    {{ sums_and_any('flows_of_basis', ['period_start', 'segment_dimension', 'segment_value'], counts) }}
),

moved_of_cells as (
    {{ moves_by_segment('moves', ['cell'], ['customers_moved', 'customers_known']) }}
),

moved_of_basis as (
    select
        *,
        {{ parts_of_cell }}
    from moved_of_cells
),

moved as (
    {{ sums_and_any('moved_of_basis', ['period_start', 'segment_dimension', 'segment_value'], ['customers_moved_in', 'customers_moved_out', 'customers_known_in', 'customers_known_out']) }}
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
