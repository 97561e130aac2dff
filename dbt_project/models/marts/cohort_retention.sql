{%- set sums = ['active_purchases', 'active_change', 'last_active', 'order_revenue', 'mrr_change'] -%}
with flows as (
    select * from {{ ref('int_cohort_flows') }}
),

periods as (
    select * from {{ ref('int_periods') }}
),

fx_rates as (
    select * from {{ ref('int_fx_rates') }}
),

cohorts as (
    select
        row_number() over (
            order by flows.grain nulls last, flows.basis nulls last, flows.segment_dimension nulls last, flows.segment_value nulls last,
            flows.cohort_number nulls last
        ) as cohort_key,
        flows.grain,
        flows.basis,
        flows.segment_dimension,
        flows.segment_value,
        flows.cohort_number,
        periods.period_start as cohort_start,
        flows.members as cohort_size,
        flows.ever_active
    from flows
    inner join periods
        on flows.grain = periods.grain
        and flows.cohort_number = periods.period_number
    where flows.members > 0
        and flows.cohort_number = flows.period_number
        and {{ cohort_is_whole('flows.basis', 'periods.period_start') }}
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
    from {{ ref_if_built('int_cohort_level_flows') }}
),

foreign_mrr as (
    select
        cohorts.cohort_key,
        periods.period_number,
        sum({{ mrr_to_reporting('level_counts.mrr', 'level_counts.currency', 'fx_rates.rate') }} * level_counts.customers) as mrr
    from level_counts
    inner join cohorts
        on cohorts.basis = 'subscription'
        and level_counts.grain = cohorts.grain
        and level_counts.segment_dimension = cohorts.segment_dimension
        and level_counts.segment_value = cohorts.segment_value
        and level_counts.cohort_number = cohorts.cohort_number
    inner join periods
        on level_counts.grain = periods.grain
        and periods.period_number >= level_counts.from_number
        and (level_counts.to_number is null or periods.period_number < level_counts.to_number)
    inner join fx_rates
        on level_counts.currency = fx_rates.currency
        and fx_rates.rate_date = {{ add_days('periods.close_date', -1) }}
    where level_counts.customers <> 0
    group by
        cohorts.cohort_key,
        periods.period_number
),

cohort_flows as (
    select
        cohorts.cohort_key,
        flows.period_number,
{%- for column in sums %}
        flows.{{ column }}{{ ',' if not loop.last }}
{%- endfor %}
    from flows
    inner join cohorts
        on flows.grain = cohorts.grain
        and flows.basis = cohorts.basis
        and flows.segment_dimension = cohorts.segment_dimension
        and flows.segment_value = cohorts.segment_value
        and flows.cohort_number = cohorts.cohort_number
),

{# Each cohort is compared with all periods of its grain, of which most lie before the first one. #}
periods_of_cohorts as (
    select * from periods
    where period_start >= (select min(cohort_start) from cohorts)
),

spine as (
    select
        cohorts.cohort_key,
        periods_of_cohorts.period_number
    from cohorts
    inner join periods_of_cohorts
        on cohorts.grain = periods_of_cohorts.grain
        and cohorts.cohort_number <= periods_of_cohorts.period_number
        and periods_of_cohorts.period_number - cohorts.cohort_number <= {{ cohort_max_age('cohorts.grain') }}
),

{# Cells without a flow are zeros, so that sums can run over whole numbers. #}
cells as (
    select
        spine.cohort_key,
        spine.period_number,
{%- for column in sums %}
        coalesce(cohort_flows.{{ column }}, 0) as {{ column }},
{%- endfor %}
        coalesce(foreign_mrr.mrr, 0) as foreign_mrr
    from spine
    left join cohort_flows
        on spine.cohort_key = cohort_flows.cohort_key
        and spine.period_number = cohort_flows.period_number
    left join foreign_mrr
        on spine.cohort_key = foreign_mrr.cohort_key
        and spine.period_number = foreign_mrr.period_number
),

running as (
    select
        cohort_key,
        period_number,
        active_purchases + sum(active_change) over so_far as active,
        (sum(last_active) over so_far) - last_active as gone,
        order_revenue,
        sum(order_revenue) over so_far as cumulative_order_revenue,
        sum(mrr_change) over so_far + foreign_mrr as mrr
    from cells
    window so_far as (partition by cohort_key order by period_number nulls last rows unbounded preceding)
),

valued as (
    select
        cohorts.grain,
        cohorts.basis,
        cohorts.segment_dimension,
        cohorts.segment_value,
        cohorts.cohort_start,
        cohorts.cohort_number,
        cohorts.cohort_key,
        cohorts.cohort_size,
        running.period_number,
        cast(running.active as bigint) as active,
        cast(cohorts.ever_active - running.gone as bigint) as active_or_later,
        case cohorts.basis
            when 'order' then cast(running.order_revenue as decimal(38, 6))
            when 'subscription' then cast(running.mrr as decimal(38, 6))
        end as revenue,
        case when cohorts.basis = 'order' then cast(running.cumulative_order_revenue as decimal(38, 6)) end as cumulative_revenue
    from running
    inner join cohorts
        on running.cohort_key = cohorts.cohort_key
),

first_values as (
    select
        cohort_key,
        revenue
    from valued
    where period_number = cohort_number
)

select
    valued.basis,
    valued.grain,
    valued.segment_dimension,
    valued.segment_value,
    valued.cohort_start,
    cast(valued.period_number - valued.cohort_number as integer) as age,
    valued.cohort_size,
    valued.active,
    valued.active_or_later,
    valued.revenue,
    valued.cumulative_revenue,
    {{ ratio('valued.active', 'valued.cohort_size') }} as retention_rate,
    {{ ratio('valued.revenue', 'first_values.revenue') }} as revenue_retention_rate,
    periods.is_complete
from valued
inner join first_values
    on valued.cohort_key = first_values.cohort_key
inner join periods
    on valued.grain = periods.grain
    and valued.period_number = periods.period_number
