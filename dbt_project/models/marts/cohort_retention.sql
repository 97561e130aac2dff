with flows as (
    select * from {{ ref('int_cohort_flows') }}
),

periods as (
    select * from {{ ref('int_periods') }}
),

cohorts as (
    select
        flows.grain,
        flows.basis,
        flows.segment_dimension,
        flows.segment_value,
        flows.cohort_number,
        periods.period_start as cohort_start,
        flows.members as cohort_size
    from flows
    inner join periods
        on flows.grain = periods.grain
        and flows.cohort_number = periods.period_number
    where flows.members > 0
        and {{ cohort_is_whole('flows.basis', 'periods.period_start') }}
),

cells as (
    select
        cohorts.grain,
        cohorts.basis,
        cohorts.segment_dimension,
        cohorts.segment_value,
        cohorts.cohort_number,
        cohorts.cohort_start,
        cohorts.cohort_size,
        cell_periods.period_number,
        cell_periods.is_complete
    from cohorts
    inner join periods as cell_periods
        on cohorts.grain = cell_periods.grain
        and cohorts.cohort_number <= cell_periods.period_number
        and cell_periods.period_number - cohorts.cohort_number <= {{ cohort_max_age('cohorts.grain') }}
),

fx_rates as (
    select * from {{ ref('int_fx_rates') }}
),

{# So many members of a cohort have this foreign MRR, from this period until the next change. #}
level_counts as (
    select
        grain,
        segment_dimension,
        segment_value,
        cohort_number,
        currency,
        mrr,
        period_number as from_number,
        lead(period_number) over (
            partition by grain, segment_dimension, segment_value, cohort_number, currency, mrr order by period_number nulls last
        ) as to_number,
        sum(customers) over (
            partition by grain, segment_dimension, segment_value, cohort_number, currency, mrr
            order by period_number nulls last rows unbounded preceding
        ) as customers
    from {{ ref('int_cohort_level_flows') }}
),

foreign_mrr as (
    select
        level_counts.grain,
        level_counts.segment_dimension,
        level_counts.segment_value,
        level_counts.cohort_number,
        periods.period_number,
        sum({{ mrr_to_reporting('level_counts.mrr', 'level_counts.currency', 'fx_rates.rate') }} * level_counts.customers) as mrr
    from level_counts
    inner join periods
        on level_counts.grain = periods.grain
        and periods.period_number >= level_counts.from_number
        and (level_counts.to_number is null or periods.period_number < level_counts.to_number)
    inner join fx_rates
        on level_counts.currency = fx_rates.currency
        and fx_rates.rate_date = {{ add_days('periods.close_date', -1) }}
    where level_counts.customers <> 0
    group by
        level_counts.grain,
        level_counts.segment_dimension,
        level_counts.segment_value,
        level_counts.cohort_number,
        periods.period_number
),

summed as (
    select
        cells.grain,
        cells.basis,
        cells.segment_dimension,
        cells.segment_value,
        cells.cohort_number,
        cells.cohort_start,
        cells.cohort_size,
        cells.period_number,
        cells.is_complete,
        cast(sum(coalesce(flows.active_change, 0)) over running as bigint) as active,
        cast(sum(coalesce(flows.later_change, 0)) over running as bigint) as active_or_later,
        coalesce(flows.order_revenue, 0) as order_revenue,
        cast(sum(coalesce(flows.order_revenue, 0)) over running as decimal(38, 2)) as cumulative_order_revenue,
        cast(sum(coalesce(flows.mrr_change, 0)) over running as decimal(38, 6)) + coalesce(foreign_mrr.mrr, 0) as mrr
    from cells
    left join flows
        on cells.grain = flows.grain
        and cells.basis = flows.basis
        and cells.segment_dimension = flows.segment_dimension
        and cells.segment_value = flows.segment_value
        and cells.cohort_number = flows.cohort_number
        and cells.period_number = flows.period_number
    left join foreign_mrr
        on cells.basis = 'subscription'
        and cells.grain = foreign_mrr.grain
        and cells.segment_dimension = foreign_mrr.segment_dimension
        and cells.segment_value = foreign_mrr.segment_value
        and cells.cohort_number = foreign_mrr.cohort_number
        and cells.period_number = foreign_mrr.period_number
    window running as (
        partition by cells.grain, cells.basis, cells.segment_dimension, cells.segment_value, cells.cohort_number
        order by cells.period_number nulls last rows unbounded preceding
    )
),

valued as (
    select
        *,
        case basis
            when 'order' then cast(order_revenue as decimal(38, 6))
            when 'subscription' then cast(mrr as decimal(38, 6))
        end as revenue,
        first_value(case basis
            when 'order' then cast(order_revenue as decimal(38, 6))
            when 'subscription' then cast(mrr as decimal(38, 6))
        end) over (
            partition by grain, basis, segment_dimension, segment_value, cohort_number order by period_number nulls last
        ) as first_revenue
    from summed
)

select
    basis,
    grain,
    segment_dimension,
    segment_value,
    cohort_start,
    cast(period_number - cohort_number as integer) as age,
    cohort_size,
    active,
    active_or_later,
    revenue,
    case when basis = 'order' then cast(cumulative_order_revenue as decimal(38, 6)) end as cumulative_revenue,
    {{ ratio('active', 'cohort_size') }} as retention_rate,
    {{ ratio('revenue', 'first_revenue') }} as revenue_retention_rate,
    is_complete
from valued
