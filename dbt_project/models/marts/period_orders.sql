{%- set flow_columns = ['orders', 'order_revenue', 'ordering_customers', 'new_customer_orders', 'new_customer_revenue', 'repeat_customers', 'returning_customers',
    'first_time_buyers', 'repurchased_30d', 'repurchased_60d', 'repurchased_90d', 'repurchased_180d', 'repurchased_365d', 'purchase_gaps', 'purchase_gap_days',
    'refunds_by_refund_date', 'guest_facts'] %}
{%- set balances = {
    'buyers_to_date': ['first_time_buyers', 'buyers', 'bigint'],
    'repeat_buyers_to_date': ['second_time_buyers', 'repeat_buyers', 'bigint'],
    'revenue_to_date': ['order_revenue', 'revenue', 'decimal(38, 2)'],
    'ordering_customers_365d': ['buyers_365d_change', 'buyers_365d', 'bigint'],
    'order_revenue_365d': ['revenue_365d_change', 'revenue_365d', 'decimal(38, 2)'],
    'customers_known': ['customers_known_change', 'customers_known', 'bigint']
} %}
with flows as (
    select * from {{ ref('int_order_flows') }}
),

periods as (
    select * from {{ ref('int_periods') }}
),

{{ running_cells(['basis']) }},

balances as (
    select
        cells.grain,
        cells.period_start,
        cells.period_end,
        cells.basis,
        cells.segment_dimension,
        cells.segment_value,
{%- for column in flow_columns %}
        coalesce(flows.{{ column }}, 0) as {{ column }},
{%- endfor %}
        coalesce(flows.buyers_out, 0) as buyers_out,
        coalesce(flows.customers_known_out, 0) as customers_known_out,
{%- for balance, parts in balances.items() %}
        cast(sum(coalesce(flows.{{ parts[0] }} + flows.{{ parts[1] }}_in - flows.{{ parts[1] }}_out, 0)) over running as {{ parts[2] }}) as {{ balance }}{{ ',' if not loop.last }}
{%- endfor %}
    from cells
    left join flows
        on cells.grain = flows.grain
        and cells.period_start = flows.period_start
        and cells.basis = flows.basis
        and cells.segment_dimension = flows.segment_dimension
        and cells.segment_value = flows.segment_value
    window running as (
        partition by cells.grain, cells.basis, cells.segment_dimension, cells.segment_value
        order by cells.period_start nulls last rows unbounded preceding
    )
)

select
    grain,
    period_start,
    basis,
    segment_dimension,
    segment_value,
{%- for column in flow_columns %}
    {{ column }},
{%- endfor %}
{%- for balance in balances %}
    {{ balance }}{{ ',' if not loop.last }}
{%- endfor %}
from balances
where {{ after_history_start() }}
    and (segment_dimension = 'all' or customers_known > 0 or guest_facts > 0)
