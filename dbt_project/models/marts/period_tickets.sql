{#- tickets_per_100_customers also looks at customers (customers_active, basis any), so that a value with customers and without tickets has a row, too. -#}
{%- set counts = ['tickets_opened', 'tickets_resolved_48h', 'first_replies', 'resolutions', 'customers_known'] %}
with own_cells as (
    {{ family_periods('int_ticket_flows', counts[:4]) }}
),

first_periods as (
    select
        grain,
        min(period_start) as first_period_start
    from own_cells
    where segment_dimension = 'all'
    group by grain
),

customers as (
    select
        customers.grain,
        customers.period_start,
        customers.segment_dimension,
        customers.segment_value
    from {{ ref_if_built('period_customers') }} as customers
    inner join first_periods
        on customers.grain = first_periods.grain
        and first_periods.first_period_start <= customers.period_start
    where customers.basis = 'any'
        and customers.customers_active > 0
)

select
    coalesce(own_cells.grain, customers.grain) as grain,
    coalesce(own_cells.period_start, customers.period_start) as period_start,
    'all' as basis,
    coalesce(own_cells.segment_dimension, customers.segment_dimension) as segment_dimension,
    coalesce(own_cells.segment_value, customers.segment_value) as segment_value,
{%- for column in counts %}
    coalesce(own_cells.{{ column }}, 0) as {{ column }}{{ ',' if not loop.last }}
{%- endfor %}
from own_cells
full outer join customers
    on own_cells.grain = customers.grain
    and own_cells.period_start = customers.period_start
    and own_cells.segment_dimension = customers.segment_dimension
    and own_cells.segment_value = customers.segment_value
