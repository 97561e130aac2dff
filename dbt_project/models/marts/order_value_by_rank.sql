{{ config(materialized='contributions', flow_keys=['grain', 'period_start', 'segment_dimension', 'segment_value', 'rank']) }}
with first_orders as (
    select * from {{ fact('int_first_orders') }}
),

purchase_days as (
    select * from {{ fact('int_purchase_days') }}
),

mover_purchase_days as (
    select * from {{ fact('int_mover_purchase_days') }}
),

{# The first order of each customer and orders among the first ten that share their day are facts of their own; else all orders of a day have one rank. #}
{%- for days, of_movers in [('purchase_days', false), ('mover_purchase_days', true)] %}
{%- set profiles -%}
{%- for grain in grains() if of_movers %},
        {{ mover_profile(days, grain) }}
{%- endfor %}
{%- endset %}
{{ 'ranked_orders_of_movers' if of_movers else 'ranked_orders' }} as (
    select
        first_orders.customer_key,
        first_orders.ordered_date,
        first_orders.order_rank as rank,
        first_orders.orders,
        first_orders.revenue {{- profiles }}
    from first_orders
{%- if of_movers %}
    inner join {{ days }}
        on first_orders.customer_key = {{ days }}.customer_key
        and first_orders.ordered_date = {{ days }}.purchase_date
{%- endif %}
    union all
    select
        customer_key,
        purchase_date as ordered_date,
        cast(least(orders_before, {{ order_ranks() }}) + 1 as integer) as rank,
        orders,
        revenue {{- profiles }}
    from {{ days }}
    where day_number > 1
        and (orders = 1 or orders_before >= {{ order_ranks() }})
),
{% endfor %}
{{ inputs_of_sums(calendar_of_whole_openings('order')) }},

{{ sums_of_facts('sums', 'ranked_orders', 'ordered_date', {'orders': 'sum(ranked_orders.orders)', 'order_revenue': 'sum(ranked_orders.revenue)'}, keys=['rank'], movers='ranked_orders_of_movers') }},

flows as (
    {{ by_segment('sums', ['grain', 'period_start', 'rank'], ['orders', 'order_revenue'], {'orders': 'bigint', 'order_revenue': 'decimal(38, 2)'}) }}
)

select
    cast(grain as string) as grain,
    period_start,
    segment_dimension,
    segment_value,
    rank,
    orders,
    order_revenue
from flows
