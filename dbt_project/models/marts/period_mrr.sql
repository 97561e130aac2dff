{{ config(materialized='by_grain') }}
{%- set home = "'" ~ var('reporting_currency') ~ "'" -%}
{%- set columns = mrr_flow_columns() -%}
{%- set moving = mrr_moving_columns() -%}
with periods as (
    select * from {{ ref('int_periods') }}
    where grain = {{ this_grain() }}
),

profile_values as (
    select * from {{ ref('int_profile_values') }}
),

flows as (
    select * from {{ ref('int_mrr_flows') }}
    where grain = {{ this_grain() }}
        and profile_before = -1
),

moves as (
    select * from {{ ref('int_mrr_flows') }}
    where grain = {{ this_grain() }}
        and profile_before <> -1
),

balances as (
    select * from {{ ref('int_mrr_balances') }}
    where grain = {{ this_grain() }}
),

segment_flows as (
    {{ by_segment('flows', ['period_start'], columns.keys() | list, columns) }}
),

segment_moves as (
    {{ moves_by_segment('moves', ['period_start'], moving, columns) }}
),

foreign_balances as (
    select
        period_start,
        segment_dimension,
        segment_value,
        sum(mrr) as foreign_mrr,
        sum(list_mrr) as foreign_list_mrr,
        sum(mrr_new_net) as foreign_mrr_new_net,
        sum(mrr_reactivation_net) as foreign_mrr_reactivation_net,
        sum(customers_open_12m) as customers_open_12m,
        sum(mrr_open_12m) as mrr_open_12m,
        sum(mrr_kept_12m) as mrr_kept_12m,
        sum(mrr_kept_and_grown_12m) as mrr_kept_and_grown_12m
    from balances
    group by
        period_start,
        segment_dimension,
        segment_value
),

segments as (
    select
        segment_dimension,
        segment_value
    from segment_flows
    union
    select
        segment_dimension,
        segment_value
    from segment_moves
    union
    select
        segment_dimension,
        segment_value
    from balances
),

first_period as (
    select min(period_start) as period_start
    from segment_flows
    where customers_known > 0
),

cells as (
    select
        periods.period_start,
        periods.period_end,
        segments.segment_dimension,
        segments.segment_value
    from periods
    inner join first_period
        on periods.period_start >= first_period.period_start
    cross join segments
),

{# Nothing is null from here on: a cell without a flow has a flow of 0. #}
filled as (
    select
        cells.period_start,
        cells.period_end,
        cells.segment_dimension,
        cells.segment_value,
{%- for column in columns %}
        coalesce(segment_flows.{{ column }}, 0) as {{ column }},
{%- endfor %}
{%- for column in moving %}
        coalesce(segment_moves.{{ column }}_in, 0) as {{ column }}_in,
        coalesce(segment_moves.{{ column }}_out, 0) as {{ column }}_out,
{%- endfor %}
        coalesce(foreign_balances.foreign_mrr, 0) as foreign_mrr,
        coalesce(foreign_balances.foreign_list_mrr, 0) as foreign_list_mrr,
        coalesce(foreign_balances.foreign_mrr_new_net, 0) as foreign_mrr_new_net,
        coalesce(foreign_balances.foreign_mrr_reactivation_net, 0) as foreign_mrr_reactivation_net,
        coalesce(foreign_balances.customers_open_12m, 0) as customers_open_12m,
        coalesce(foreign_balances.mrr_open_12m, 0) as mrr_open_12m,
        coalesce(foreign_balances.mrr_kept_12m, 0) as mrr_kept_12m,
        coalesce(foreign_balances.mrr_kept_and_grown_12m, 0) as mrr_kept_and_grown_12m
    from cells
    left join segment_flows
        on cells.period_start = segment_flows.period_start
        and cells.segment_dimension = segment_flows.segment_dimension
        and cells.segment_value = segment_flows.segment_value
    left join segment_moves
        on cells.period_start = segment_moves.period_start
        and cells.segment_dimension = segment_moves.segment_dimension
        and cells.segment_value = segment_moves.segment_value
    left join foreign_balances
        on cells.period_start = foreign_balances.period_start
        and cells.segment_dimension = foreign_balances.segment_dimension
        and cells.segment_value = foreign_balances.segment_value
),

closings as (
    select
        *,
{%- for column in ['customers_known', 'customers_paying', 'home_mrr', 'home_list_mrr'] %}
        sum({{ column }} + {{ column }}_in - {{ column }}_out) over (
            partition by segment_dimension, segment_value order by period_start nulls last rows unbounded preceding
        ) as {{ column }}_end{{ ',' if not loop.last }}
{%- endfor %}
    from filled
),

openings as (
    select
        *,
        home_mrr_end + foreign_mrr as mrr_end,
        home_list_mrr_end + foreign_list_mrr as mrr_list_end,
        customers_paying_end - customers_paying as customers_open,
        home_mrr_end - home_mrr as home_mrr_start,
        lag(home_mrr_end + foreign_mrr, 1, cast(0 as decimal(38, 6))) over (
            partition by segment_dimension, segment_value order by period_start nulls last
        ) + mrr_moved_in - mrr_moved_out as mrr_start
    from closings
),

rows_to_show as (
    select *
    from openings
    where {{ after_history_start() }}
        and (segment_dimension = 'all' or customers_known_end > 0 or customers_paying_out > 0 or customers_open_12m > 0)
),

{# Per native currency, only what is there at opening and close. #}
native as (
    select
        period_start,
        segment_dimension,
        segment_value,
        {{ home }} as currency,
        home_mrr_start as mrr_start,
        home_mrr_end as mrr_end
    from rows_to_show
    union all
    select
        balances.period_start,
        balances.segment_dimension,
        balances.segment_value,
        balances.currency,
        balances.native_mrr - balances.native_flow as mrr_start,
        balances.native_mrr as mrr_end
    from balances
    inner join periods
        on balances.period_start = periods.period_start
        and {{ after_history_start('periods.period_end') }}
    where balances.currency <> 'all'
)
{%- set counts = [
    'customers_open', 'paying_customers_end', 'customers_with_losses', 'customers_with_net_losses', 'customers_open_12m', 'customers_lost', 'lost_involuntary', 'lost_voluntary', 'lost_unknown',
    'renewals_due', 'renewals_pending', 'renewals_renewed', 'renewals_not_renewed', 'cancellations_requested'
] -%}
{%- set amounts = [
    'mrr_list_end', 'mrr_new', 'mrr_expansion', 'mrr_contraction', 'mrr_churn', 'mrr_reactivation', 'mrr_moved_in', 'mrr_moved_out',
    'mrr_open', 'mrr_kept', 'mrr_kept_and_grown', 'mrr_cancelled', 'mrr_new_net', 'mrr_reactivation_net', 'mrr_open_12m', 'mrr_kept_12m', 'mrr_kept_and_grown_12m',
    'renewal_mrr_due', 'renewal_mrr_renewed'
] -%}
{%- set derived = {
    'paying_customers_end': 'customers_paying_end',
    'mrr_open': 'mrr_start',
    'mrr_kept': 'mrr_start - mrr_not_kept',
    'mrr_kept_and_grown': 'mrr_start + mrr_grown',
    'mrr_new_net': 'home_mrr_new_net + foreign_mrr_new_net',
    'mrr_reactivation_net': 'home_mrr_reactivation_net + foreign_mrr_reactivation_net'
} %}

select
    cast({{ this_grain() }} as string) as grain,
    period_start,
    cast('subscription' as string) as basis,
    segment_dimension,
    segment_value,
    cast('all' as string) as currency,
    cast(mrr_start as decimal(38, 6)) as mrr_start,
    cast(mrr_end as decimal(38, 6)) as mrr_end,
{%- for amount in amounts %}
    cast({{ derived.get(amount, amount) }} as decimal(38, 6)) as {{ amount }},
{%- endfor %}
{%- for count in counts %}
    cast({{ derived.get(count, count) }} as bigint) as {{ count }}{{ ',' if not loop.last }}
{%- endfor %}
from rows_to_show
union all
select
    cast({{ this_grain() }} as string) as grain,
    period_start,
    cast('subscription' as string) as basis,
    segment_dimension,
    segment_value,
    cast(currency as string) as currency,
    cast(mrr_start as decimal(38, 6)) as mrr_start,
    cast(mrr_end as decimal(38, 6)) as mrr_end,
{%- for amount in amounts %}
    cast(null as decimal(38, 6)) as {{ amount }},
{%- endfor %}
{%- for count in counts %}
    cast(null as bigint) as {{ count }}{{ ',' if not loop.last }}
{%- endfor %}
from native
where mrr_start <> 0
    or mrr_end <> 0
