{%- set flow_columns = ['customers_new', 'customers_reactivated', 'customers_lost', 'customers_transient', 'customers_joined', 'customers_referred', 'churn_events',
    'customers_moved_in', 'customers_moved_out'] %}
with flows as (
    select * from {{ ref('int_customer_flows') }}
),

periods as (
    select * from {{ ref('int_periods') }}
),

referral_columns as (
    select * from {{ ref('int_referral_columns') }}
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
        cast(sum(
            coalesce(flows.customers_new + flows.customers_reactivated - flows.customers_lost + flows.customers_moved_in - flows.customers_moved_out, 0)
        ) over running as bigint) as customers_end,
        cast(sum(coalesce(flows.customers_joined + flows.customers_known_in - flows.customers_known_out, 0)) over running as bigint) as customers_known
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
    customers_end - customers_new - customers_reactivated + customers_lost as customers_start,
    customers_end,
    customers_end - customers_new - customers_reactivated as customers_retained,
    customers_new,
    customers_reactivated,
    customers_lost,
    customers_transient,
    customers_end + customers_lost + customers_transient as customers_active,
    customers_moved_in,
    customers_moved_out,
    customers_joined,
    case when referral_columns.is_given then customers_referred end as customers_referred,
    churn_events,
    customers_known
from balances
cross join referral_columns
where {{ after_history_start() }}
    and (segment_dimension = 'all' or customers_known > 0 or customers_moved_out > 0)
