with flows as (
    select
        grain,
        period_start,
        segment_dimension,
        segment_value,
        active_days,
        number_change + number_in - number_out as customers_change
    from {{ ref('int_engagement_counts') }}
),

periods as (
    select * from {{ ref('int_periods') }}
),

{{ running_cells(['active_days']) }},

balances as (
    select
        cells.*,
        cast(sum(coalesce(flows.customers_change, 0)) over (
            partition by cells.grain, cells.active_days, cells.segment_dimension, cells.segment_value
            order by cells.period_start nulls last rows unbounded preceding
        ) as bigint) as customers
    from cells
    left join flows
        on cells.grain = flows.grain
        and cells.period_start = flows.period_start
        and cells.active_days = flows.active_days
        and cells.segment_dimension = flows.segment_dimension
        and cells.segment_value = flows.segment_value
)

select
    grain,
    period_start,
    segment_dimension,
    segment_value,
    active_days,
    customers
from balances
where customers > 0
    and {{ after_history_start() }}
    and {{ add_days('close_date', -var('mau_days')) }} >= {{ data_start() }}
