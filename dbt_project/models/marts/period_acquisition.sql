{#- No sum of customers' contributions: costs have no customer, and there are few. -#}
{%- set by_channel = 'acquisition_channel' in var('segments') %}
{%- set months_behind = 6 %}
with costs as (
    select * from {{ ref('int_acquisition_costs') }}
),

periods as (
    select * from {{ ref('int_periods') }}
    where grain <> 'week'
),

joined as (
    select
        grain,
        period_start,
        segment_dimension,
        segment_value,
        customers_joined
    from {{ ref_if_built('int_customer_flows') }}
    where basis = 'any'
        and grain <> 'week'
        and customers_joined <> 0
        and segment_dimension in ('all'{{ ", 'acquisition_channel'" if by_channel }})
),

costs_of_segments as (
    select
        cost_month,
        'all' as segment_dimension,
        'all' as segment_value,
        cost
    from costs
{%- if by_channel %}
    union all
    select
        cost_month,
        'acquisition_channel' as segment_dimension,
        acquisition_channel as segment_value,
        cost
    from costs
{%- endif %}
),

sums as (
    select
        periods.grain,
        periods.period_start,
        costs_of_segments.segment_dimension,
        costs_of_segments.segment_value,
        costs_of_segments.cost,
        0 as customers_joined
    from costs_of_segments
    inner join periods
        on costs_of_segments.cost_month >= periods.period_start
        and costs_of_segments.cost_month < periods.period_end
    union all
    select
        grain,
        period_start,
        segment_dimension,
        segment_value,
        cast(0 as decimal(18, 2)) as cost,
        customers_joined
    from joined
),

first_months as (
    select
        segment_dimension,
        segment_value,
        min(cost_month) as first_month
    from costs_of_segments
    group by
        segment_dimension,
        segment_value
),

first_month as (
    select first_month
    from first_months
    where segment_dimension = 'all'
),

{# A segment value has rows from its first costs on, and where customers joined. #}
cells as (
    select
        periods.grain,
        periods.period_start,
        first_months.segment_dimension,
        first_months.segment_value
    from periods
    inner join first_months
        on periods.close_date > first_months.first_month
    union
    select
        joined.grain,
        joined.period_start,
        joined.segment_dimension,
        joined.segment_value
    from joined
),

of_period as (
    select
        grain,
        period_start,
        segment_dimension,
        segment_value,
        sum(cost) as acquisition_cost,
        sum(customers_joined) as customers_joined
    from sums
    group by
        grain,
        period_start,
        segment_dimension,
        segment_value
),

{# The calendar months that ended by a close end with that of the close's own month. #}
behind as (
    select
        periods.grain,
        periods.period_start,
        of_period.segment_dimension,
        of_period.segment_value,
        sum(of_period.acquisition_cost) as cost_6m,
        sum(of_period.customers_joined) as joined_6m
    from periods
    inner join of_period
        on of_period.grain = 'month'
        and of_period.period_start < {{ truncated('month', 'periods.close_date') }}
        and of_period.period_start >= {{ add_months(truncated('month', 'periods.close_date'), -months_behind) }}
    group by
        periods.grain,
        periods.period_start,
        of_period.segment_dimension,
        of_period.segment_value
)

select
    cast(cells.grain as string) as grain,
    cells.period_start,
    cast('all' as string) as basis,
    cells.segment_dimension,
    cells.segment_value,
    cast(coalesce(of_period.acquisition_cost, 0) as decimal(38, 2)) as acquisition_cost,
    cast(coalesce(of_period.customers_joined, 0) as bigint) as customers_joined,
    cast(coalesce(behind.cost_6m, 0) as decimal(38, 2)) as acquisition_cost_6m,
    cast(coalesce(behind.joined_6m, 0) as bigint) as customers_joined_6m,
    first_month.first_month > {{ add_months(truncated('month', 'periods.close_date'), -months_behind) }} as months_are_short
from cells
inner join periods
    on cells.grain = periods.grain
    and cells.period_start = periods.period_start
inner join first_month
    on periods.period_end > first_month.first_month
left join of_period
    on cells.grain = of_period.grain
    and cells.period_start = of_period.period_start
    and cells.segment_dimension = of_period.segment_dimension
    and cells.segment_value = of_period.segment_value
left join behind
    on cells.grain = behind.grain
    and cells.period_start = behind.period_start
    and cells.segment_dimension = behind.segment_dimension
    and cells.segment_value = behind.segment_value
where {{ after_history_start('periods.period_end') }}
