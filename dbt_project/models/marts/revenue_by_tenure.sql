{{ config(materialized='contributions', flow_keys=['grain', 'period_start', 'segment_dimension', 'segment_value', 'tenure_half_years']) }}
{%- set measures = {
    'orders': 'sum(purchase_days.orders)',
    'order_revenue': 'sum(purchase_days.revenue)',
    'ordering_customers': count_where('purchase_days.counted_before < calendar.period_start')
} %}
with {% for facts in ['purchase_days', 'mover_purchase_days'] %} {{ facts }} as (
    select
        *,
        half_years as tenure_half_years,
        {#- A customer counts once per period and half year. #}
        case when starts_half_year then {{ first_day() }} else previous_date end as counted_before
    from {{ fact('int_' ~ facts) }}
),

{% endfor -%}
{{ inputs_of_sums(calendar_of_whole_openings('order')) }},

{{ sums_of_facts('sums', 'purchase_days', 'purchase_date', measures, keys=['tenure_half_years'], movers='mover_purchase_days') }},

flows as (
    {{ by_segment('sums', ['grain', 'period_start', 'tenure_half_years'], measures | list,
        {'orders': 'bigint', 'order_revenue': 'decimal(38, 2)', 'ordering_customers': 'bigint'}) }}
)

select
    cast(grain as string) as grain,
    period_start,
    segment_dimension,
    segment_value,
    tenure_half_years,
    orders,
    order_revenue,
    ordering_customers
from flows
