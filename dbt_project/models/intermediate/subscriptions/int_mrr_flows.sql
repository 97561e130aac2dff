{{ config(materialized='contributions', flow_keys=['grain', 'period_start', 'profile_before', 'profile_key']) }}
{%- set columns = mrr_flow_columns() -%}
{%- set row_columns = narrow(columns) -%}
{%- set moving_columns = {} -%}
{%- for column in mrr_moving_columns() -%} {%- do moving_columns.update({column: row_columns[column]}) -%} {%- endfor -%}
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

{{ mrr_contributions(row_columns) }},

moved as (
    {{ moved_mrr() }}
),

{# Those who pay have one row per currency here; that they move is counted once. #}
moves as (
    select
        profile_changes.period_start,
        profile_changes.profile_before,
        profile_changes.profile_key,
        {{ only(moving_columns, {'customers_known': 1}) }}
    from profile_changes
    inner join first_facts
        on profile_changes.customer_key = first_facts.customer_key
        and first_facts.first_subscription_fact_date < profile_changes.period_start
    union all
    select
        moved.period_start,
        moved.profile_before,
        moved.profile_key,
        {{ only(moving_columns, {
            'customers_paying': "case when row_number() over (partition by moved.customer_key, moved.period_start order by moved.currency nulls last) = 1 then 1 else 0 end",
            'home_mrr': "case when moved.currency = '" ~ var('reporting_currency') ~ "' then moved.mrr else 0 end",
            'home_list_mrr': "case when moved.currency = '" ~ var('reporting_currency') ~ "' then moved.list_mrr else 0 end",
            'mrr_moved': mrr_to_reporting('moved.mrr', 'moved.currency', 'fx_rates.rate')
        }) }}
    from moved
    left join fx_rates
        on moved.currency = fx_rates.currency
        and fx_rates.rate_date = {{ add_days('moved.period_start', -1) }}
),

{# Added up apart: no contribution has a profile before, and moves have few columns. #}
sums_of_moves as (
    select
        period_start,
        profile_before,
        profile_key,
{%- for column in moving_columns %}
        sum({{ column }}) as {{ column }}{{ ',' if not loop.last }}
{%- endfor %}
    from moves
    group by
        period_start,
        profile_before,
        profile_key
),

flows as (
    select
        contributions.period_start,
        coalesce(profiles.profile_key, 0) as profile_key,
{%- for column in columns %}
        contributions.{{ column }}{{ ',' if not loop.last }}
{%- endfor %}
    from contributions
    {{ join_profile('contributions') }}
)

select
    cast({{ this_grain() }} as string) as grain,
    period_start,
    cast(-1 as bigint) as profile_before,
    profile_key,
{%- for column, type in columns.items() %}
    cast(sum({{ column }}) as {{ type }}) as {{ column }}{{ ',' if not loop.last }}
{%- endfor %}
from flows
group by
    period_start,
    profile_key
union all
select
    cast({{ this_grain() }} as string) as grain,
    period_start,
    profile_before,
    profile_key,
    {{ only(columns, dict(zip(moving_columns, moving_columns))) }}
from sums_of_moves
