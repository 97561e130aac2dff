{{ config(materialized='by_grain') }}
{%- set money = 'decimal(38, 6)' -%}
{%- set home = "'" ~ var('reporting_currency') ~ "'" -%}
{%- set year_columns = {'customers_open_12m': 'bigint', 'mrr_open_12m': money, 'mrr_kept_12m': money, 'mrr_kept_and_grown_12m': money} -%}
{%- set level_columns = {'mrr': money, 'list_mrr': money, 'native_mrr': money, 'native_flow': money, 'mrr_new_net': money, 'mrr_reactivation_net': money} -%}
with periods as (
    select * from {{ ref('int_periods') }}
    where grain = {{ this_grain() }}
),

profile_values as (
    select * from {{ ref('int_profile_values') }}
),

fx_rates as (
    select * from {{ ref('int_fx_rates') }}
),

level_flows as (
    select * from {{ ref('int_mrr_level_flows') }}
    where grain = {{ this_grain() }}
),

year_flows as (
    select * from {{ ref('int_mrr_year_flows') }}
    where grain = {{ this_grain() }}
),

{# Foreign money is revalued at every close: so many customers of a profile at this MRR, from this period until the next change. #}
level_counts as (
    select
        profile_key,
        currency,
        mrr,
        list_mrr,
        period_start as from_period,
        lead(period_start, 1, {{ last_day() }}) over (
            partition by profile_key, currency, mrr, list_mrr order by period_start nulls last
        ) as to_period,
        cast(sum(customers) over (
            partition by profile_key, currency, mrr, list_mrr order by period_start nulls last rows unbounded preceding
        ) as bigint) as customers
    from level_flows
),

level_balances as (
    select
        periods.period_start,
        level_counts.profile_key,
        level_counts.currency,
        sum({{ mrr_to_reporting('level_counts.mrr', 'level_counts.currency', 'fx_rates.rate') }} * level_counts.customers) as mrr,
        sum({{ mrr_to_reporting('level_counts.list_mrr', 'level_counts.currency', 'fx_rates.rate') }} * level_counts.customers) as list_mrr,
        sum(level_counts.mrr * level_counts.customers) as native_mrr,
        cast(0 as {{ money }}) as native_flow,
        cast(0 as {{ money }}) as mrr_new_net,
        cast(0 as {{ money }}) as mrr_reactivation_net
    from level_counts
    inner join periods
        on periods.period_start >= level_counts.from_period
        and periods.period_start < level_counts.to_period
    left join fx_rates
        on level_counts.currency = fx_rates.currency
        and fx_rates.rate_date = {{ add_days('periods.close_date', -1) }}
    where level_counts.customers <> 0
    group by
        periods.period_start,
        level_counts.profile_key,
        level_counts.currency
    union all
    select
        period_start,
        profile_key,
        currency,
        cast(0 as {{ money }}) as mrr,
        cast(0 as {{ money }}) as list_mrr,
        cast(0 as {{ money }}) as native_mrr,
        sum(mrr * (customers - moved_customers)) as native_flow,
        cast(0 as {{ money }}) as mrr_new_net,
        cast(0 as {{ money }}) as mrr_reactivation_net
    from level_flows
    group by
        period_start,
        profile_key,
        currency
    union all
    select
        level_flows.period_start,
        level_flows.profile_key,
        level_flows.currency,
        cast(0 as {{ money }}) as mrr,
        cast(0 as {{ money }}) as list_mrr,
        cast(0 as {{ money }}) as native_mrr,
        cast(0 as {{ money }}) as native_flow,
        sum({{ mrr_to_reporting('level_flows.mrr', 'level_flows.currency', 'fx_rates.rate') }} * level_flows.new_customers) as mrr_new_net,
        sum({{ mrr_to_reporting('level_flows.mrr', 'level_flows.currency', 'fx_rates.rate') }} * level_flows.reactivated_customers) as mrr_reactivation_net
    from level_flows
    inner join periods
        on level_flows.period_start = periods.period_start
    left join fx_rates
        on level_flows.currency = fx_rates.currency
        and fx_rates.rate_date = {{ add_days('periods.close_date', -1) }}
    where level_flows.new_customers <> 0
        or level_flows.reactivated_customers <> 0
    group by
        level_flows.period_start,
        level_flows.profile_key,
        level_flows.currency
),

level_segments as (
    {{ by_segment('level_balances', ['period_start', 'currency'], level_columns.keys() | list, level_columns) }}
),

{# 12-month figures of customers who pay in the reporting currency alone change only where there is a flow. #}
fixed_flows as (
    select
        period_start,
        profile_key,
        sum(customers) as customers_open_12m,
        sum(mrr_before * customers) as mrr_open_12m,
        sum(least(mrr_before, mrr_now) * customers) as mrr_kept_12m,
        sum(mrr_now * customers) as mrr_kept_and_grown_12m
    from year_flows
    where owner_key = 0
        and currency = {{ home }}
    group by
        period_start,
        profile_key
),

fixed_segment_flows as (
    {{ by_segment('fixed_flows', ['period_start'], year_columns.keys() | list, year_columns) }}
),

fixed_segments as (
    select
        segment_dimension,
        segment_value,
        period_start as from_period,
        lead(period_start, 1, {{ last_day() }}) over (
            partition by segment_dimension, segment_value order by period_start nulls last
        ) as to_period,
{%- for column in year_columns %}
        sum({{ column }}) over (
            partition by segment_dimension, segment_value order by period_start nulls last rows unbounded preceding
        ) as {{ column }}{{ ',' if not loop.last }}
{%- endfor %}
    from fixed_segment_flows
),

{# The others are revalued at the rates of the earlier moment, 12 months before every close. #}
revalued_counts as (
    select
        profile_key,
        owner_key,
        currency,
        mrr_before,
        mrr_now,
        period_start as from_period,
        lead(period_start, 1, {{ last_day() }}) over (
            partition by profile_key, owner_key, currency, mrr_before, mrr_now order by period_start nulls last
        ) as to_period,
        cast(sum(customers) over (
            partition by profile_key, owner_key, currency, mrr_before, mrr_now
            order by period_start nulls last rows unbounded preceding
        ) as bigint) as customers
    from year_flows
    where owner_key <> 0
        or currency <> {{ home }}
),

revalued as (
    select
        periods.period_start,
        revalued_counts.profile_key,
        revalued_counts.owner_key,
        revalued_counts.customers,
        case when revalued_counts.mrr_before > 0 then 1 else 0 end as was_paying,
        {{ mrr_to_reporting('revalued_counts.mrr_before', 'revalued_counts.currency', 'fx_rates.rate') }} as mrr_before,
        {{ mrr_to_reporting('revalued_counts.mrr_now', 'revalued_counts.currency', 'fx_rates.rate') }} as mrr_now
    from revalued_counts
    inner join periods
        on periods.period_start >= revalued_counts.from_period
        and periods.period_start < revalued_counts.to_period
    left join fx_rates
        on revalued_counts.currency = fx_rates.currency
        and fx_rates.rate_date = {{ add_days(add_months('periods.close_date', -12), -1) }}
    where revalued_counts.customers <> 0
),

{# Who paid is said by the MRR in its own currency: in the reporting currency the least of it is nothing. #}
whole_customers as (
    select
        period_start,
        profile_key,
        customers,
        mrr_before,
        mrr_now
    from revalued
    where owner_key = 0
    union all
    select
        period_start,
        profile_key,
        1 as customers,
        sum(mrr_before) as mrr_before,
        sum(mrr_now) as mrr_now
    from revalued
    where owner_key <> 0
    group by
        period_start,
        profile_key,
        owner_key
    having max(was_paying) = 1
),

year_balances as (
    select
        period_start,
        profile_key,
        sum(customers) as customers_open_12m,
        sum(mrr_before * customers) as mrr_open_12m,
        sum(least(mrr_before, mrr_now) * customers) as mrr_kept_12m,
        sum(mrr_now * customers) as mrr_kept_and_grown_12m
    from whole_customers
    group by
        period_start,
        profile_key
),

year_segments as (
    {{ by_segment('year_balances', ['period_start'], year_columns.keys() | list, year_columns) }}
    union all
    select
        periods.period_start,
        fixed_segments.segment_dimension,
        fixed_segments.segment_value,
{%- for column in year_columns %}
        fixed_segments.{{ column }}{{ ',' if not loop.last }}
{%- endfor %}
    from fixed_segments
    inner join periods
        on periods.period_start >= fixed_segments.from_period
        and periods.period_start < fixed_segments.to_period
    where fixed_segments.customers_open_12m <> 0
),

balances as (
    select
        period_start,
        segment_dimension,
        segment_value,
        currency,
        {{ level_columns | join(',\n        ') }},
        {{ only(year_columns, {}) }}
    from level_segments
    union all
    select
        period_start,
        segment_dimension,
        segment_value,
        'all' as currency,
        {{ only(level_columns, {}) }},
        customers_open_12m,
        mrr_open_12m,
        mrr_kept_12m,
        mrr_kept_and_grown_12m
    from year_segments
)

select
    cast({{ this_grain() }} as string) as grain,
    period_start,
    segment_dimension,
    segment_value,
    currency,
{%- for column, type in level_columns.items() %}
    cast(sum({{ column }}) as {{ type }}) as {{ column }},
{%- endfor %}
{%- for column, type in year_columns.items() %}
    cast(sum({{ column }}) as {{ type }}) as {{ column }}{{ ',' if not loop.last }}
{%- endfor %}
from balances
group by
    period_start,
    segment_dimension,
    segment_value,
    currency
