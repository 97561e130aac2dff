{%- set flow_columns = ['active_days', 'active_customers', 'active_new', 'active_returning', 'session_events'] %}
{%- set balances = {'wau': 'wau_change', 'mau': 'mau_change', 'yau': 'yau_change', 'mau_days': 'mau_days_change', 'index_days': 'index_days_change', 'customers_known': 'active_new'} %}
with flows as (
    select * from {{ ref('int_engagement_flows') }}
),

periods as (
    select * from {{ ref('int_periods') }}
),

customers as (
    select * from {{ ref_if_built('period_customers') }}
    where basis = 'any'
        and customers_end > 0
),

{{ running_cells(['basis']) }},

balances as (
    select
        cells.grain,
        cells.period_start,
        cells.period_end,
        cells.close_date,
        cells.basis,
        cells.segment_dimension,
        cells.segment_value,
{%- for column in flow_columns %}
        coalesce(flows.{{ column }}, 0) as {{ column }},
{%- endfor %}
        cast(coalesce(lag(flows.active_customers) over running, 0) + coalesce(flows.active_before_in - flows.active_before_out, 0) as bigint) as active_before,
{%- for balance, change in balances.items() %}
        cast(sum(coalesce(flows.{{ change }} + flows.{{ balance }}_in - flows.{{ balance }}_out, 0)) over to_date as bigint) as {{ balance }}{{ ',' if not loop.last }}
{%- endfor %}
    from cells
    left join flows
        on cells.grain = flows.grain
        and cells.period_start = flows.period_start
        and cells.basis = flows.basis
        and cells.segment_dimension = flows.segment_dimension
        and cells.segment_value = flows.segment_value
    window
        running as (
            partition by cells.grain, cells.basis, cells.segment_dimension, cells.segment_value
            order by cells.period_start nulls last
        ),
        to_date as (
            partition by cells.grain, cells.basis, cells.segment_dimension, cells.segment_value
            order by cells.period_start nulls last rows unbounded preceding
        )
),

shown as (
    select * from balances
    where {{ after_history_start() }}
        and (segment_dimension = 'all' or customers_known > 0)
),

{# A segment whose customers are active in basis any, none of them with an active day so far, has an engagement index, too. #}
customers_since_first_activity as (
    select customers.*
    from customers
    inner join first_periods
        on customers.grain = first_periods.grain
        and customers.period_start >= first_periods.first_period_start
    where first_periods.segment_dimension = 'all'
)

select
    coalesce(shown.grain, customers.grain) as grain,
    coalesce(shown.period_start, customers.period_start) as period_start,
    'all' as basis,
    coalesce(shown.segment_dimension, customers.segment_dimension) as segment_dimension,
    coalesce(shown.segment_value, customers.segment_value) as segment_value,
    coalesce(shown.active_days, 0) as active_days,
    coalesce(shown.active_customers, 0) as active_customers,
    coalesce(shown.active_new, 0) as active_new,
    coalesce(shown.active_returning, 0) as active_returning,
    coalesce(shown.active_customers - shown.active_new - shown.active_returning, 0) as active_resurrected,
    coalesce(shown.active_before - shown.active_returning, 0) as active_dormant,
    coalesce(shown.wau, 0) as wau,
    coalesce(shown.mau, 0) as mau,
    coalesce(shown.yau, 0) as yau,
    coalesce(shown.mau_days, 0) as mau_active_days,
    coalesce(shown.index_days, 0) as index_active_days,
    coalesce(customers.customers_end, 0) as customers_end_any,
    coalesce(shown.session_events, 0) as session_events,
    coalesce(shown.customers_known, 0) as customers_known
from shown
full outer join customers_since_first_activity as customers
    on shown.grain = customers.grain
    and shown.period_start = customers.period_start
    and shown.segment_dimension = customers.segment_dimension
    and shown.segment_value = customers.segment_value
