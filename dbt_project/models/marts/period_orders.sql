{%- set flow_columns = ['orders', 'order_revenue', 'ordering_customers', 'new_customer_orders', 'new_customer_revenue', 'repeat_customers', 'returning_customers', 'buyers_returning',
    'first_time_buyers', 'repurchased_30d', 'repurchased_60d', 'repurchased_90d', 'repurchased_180d', 'repurchased_365d', 'purchase_gaps', 'purchase_gap_days',
    'refunds_by_refund_date', 'guest_facts'] %}
{%- set balance_columns = {
    'buyers_to_date': ['first_time_buyers', 'buyers', 'bigint'],
    'repeat_buyers_to_date': ['second_time_buyers', 'repeat_buyers', 'bigint'],
    'repeat_buyers_by_orders_to_date': ['second_order_buyers', 'repeat_buyers_by_orders', 'bigint'],
    'loyal_customers': ['loyal_customers_change', 'loyal_customers', 'bigint'],
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

{{ purchase_waits() }},

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
        coalesce(lag(flows.ordering_customers) over in_order, 0) + coalesce(flows.ordered_in - flows.ordered_out, 0) as ordering_customers_previous,
{%- for balance, parts in balance_columns.items() %}
        cast(sum(coalesce(flows.{{ parts[0] }} + flows.{{ parts[1] }}_in - flows.{{ parts[1] }}_out, 0)) over running as {{ parts[2] }}) as {{ balance }}{{ ',' if not loop.last }}
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
            order by cells.period_start nulls last rows unbounded preceding
        ),
        in_order as (
            partition by cells.grain, cells.basis, cells.segment_dimension, cells.segment_value
            order by cells.period_start nulls last
        )
)

select
    balances.grain,
    balances.period_start,
    balances.basis,
    balances.segment_dimension,
    balances.segment_value,
{%- for column in flow_columns %}
    balances.{{ column }},
{%- endfor %}
    balances.ordering_customers_previous,
{%- for balance in balance_columns %}
    balances.{{ balance }},
{%- endfor %}
    case when balances.grain <> 'week' then coalesce(purchase_waits.purchase_days, 0) end as purchase_days_365d,
    purchase_waits.median_days as next_purchase_median_days
from balances
left join purchase_waits
    on balances.grain = purchase_waits.grain
    and balances.period_start = purchase_waits.period_start
    and balances.segment_dimension = purchase_waits.segment_dimension
    and balances.segment_value = purchase_waits.segment_value
where {{ after_history_start('balances.period_end') }}
    and (balances.segment_dimension = 'all' or balances.customers_known > 0 or balances.guest_facts > 0)
