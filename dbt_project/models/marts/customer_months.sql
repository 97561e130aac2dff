with flows as (
    select * from {{ ref('int_customer_flows') }}
),

periods as (
    select * from {{ ref('int_periods') }}
    where grain = 'month'
),

{{ running_cells(['basis']) }},

balances as (
    select
        cells.grain,
        cells.period_start,
        cells.basis,
        cells.segment_dimension,
        cells.segment_value,
        coalesce(flows.customers_new + flows.customers_reactivated, 0) as customers_come,
        coalesce(flows.customers_lost, 0) as customers_lost,
        cast(sum(
            coalesce(flows.customers_new + flows.customers_reactivated - flows.customers_lost + flows.customers_moved_in - flows.customers_moved_out, 0)
        ) over running as bigint) as customers_end
    from cells
    left join flows
        on cells.grain = flows.grain
        and cells.period_start = flows.period_start
        and cells.basis = flows.basis
        and cells.segment_dimension = flows.segment_dimension
        and cells.segment_value = flows.segment_value
    window running as (
        partition by cells.basis, cells.segment_dimension, cells.segment_value
        order by cells.period_start nulls last rows unbounded preceding
    )
)

select
    grain,
    period_start,
    basis,
    segment_dimension,
    segment_value,
    customers_end - customers_come + customers_lost as customers_start,
    customers_lost
from balances
where segment_dimension = 'all' or customers_end > 0 or customers_lost > 0
