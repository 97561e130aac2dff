{# Balance of period_orders → what a buyer is at the close. #}
{% macro order_members() -%}
  {%- set flows = ['orders', 'order_revenue', 'ordering_customers', 'new_customer_orders', 'new_customer_revenue', 'repeat_customers', 'returning_customers', 'buyers_returning',
    'first_time_buyers', 'repurchased_30d', 'repurchased_60d', 'repurchased_90d', 'repurchased_180d', 'repurchased_365d', 'purchase_gaps', 'purchase_gap_days', 'refunds_by_refund_date'] -%}
  {%- set balances = {'buyers_to_date': 'buyers', 'repeat_buyers_to_date': 'repeat_buyers', 'repeat_buyers_by_orders_to_date': 'repeat_buyers_by_orders',
    'loyal_customers': 'loyal_customers', 'revenue_to_date': 'revenue'} -%}
  {%- set amounts = ['order_revenue', 'new_customer_revenue', 'refunds_by_refund_date', 'revenue_to_date', 'order_revenue_365d'] -%}
  {%- set at_close = buyer_state('cells.close_date', 'cells.close_365d', 'cells.previous_start') -%}
  {%- set at_opening = buyer_state('cells.period_start', 'cells.close_365d', 'cells.previous_start') -%}
  {%- set parts = {} -%}
  {%- set expressions = {} -%}
  {%- for name, part in order_parts().items() if name in ['purchases', 'first_purchases', 'refunded'] -%}
    {%- do parts.update({name: part}) -%}
    {%- do expressions.update({name: part.counts}) -%}
  {%- endfor -%}
  {%- set of_close = {} -%}
  {%- for balance, column in balances.items() -%} {%- do of_close.update({balance: 'at_close.' ~ column}) -%} {%- endfor -%}
  {%- do expressions.update({
    'at_close': of_close,
    'year_at_close': {'ordering_customers_365d': '1', 'order_revenue_365d': 'year_at_close.revenue'},
    'at_opening': {'ordering_customers_previous': 'at_opening.ordered'},
    'days_of_year': {'purchase_days_365d': 'days_of_year.purchase_days'}
  }) -%}
  {%- set counts = (flows + (balances | list) + ['ordering_customers_365d', 'ordering_customers_previous', 'purchase_days_365d']) | reject('in', amounts) | list -%}
  {%- set ctes -%}
  purchase_days as (
      select * from {{ fact('int_purchase_days') }}
  ),

  refunds as (
      select * from {{ fact('int_refunds') }}
  ),

  {{ cells_of_members() }},

  {{ members_of_parts(parts) }},

  {# The last purchase day before a year ago, of customers who have one. #}
  days_before as (
      select
          purchase_days.customer_key,
          cells.grain,
          cells.period_start,
          purchase_days.revenue_to_date
      from purchase_days
      inner join cells
          on purchase_days.purchase_date < cells.close_365d
          and (purchase_days.next_date is null or purchase_days.next_date >= cells.close_365d)
  ),

  at_close as (
      select
          purchase_days.customer_key,
          cells.grain,
          cells.period_start,
{%- for column in balances.values() %}
          {{ at_close[column] }} as {{ column }}{{ ',' if not loop.last }}
{%- endfor %}
      from purchase_days
      inner join cells
          on purchase_days.purchase_date < cells.close_date
          and (purchase_days.next_date is null or purchase_days.next_date >= cells.close_date)
  ),

  {# Apart, as the look-up of the day before costs as much as all the rest. #}
  year_at_close as (
      select
          purchase_days.customer_key,
          cells.grain,
          cells.period_start,
          {{ at_close.revenue_365d }} as revenue
      from purchase_days
      inner join cells
          on purchase_days.purchase_date < cells.close_date
          and purchase_days.purchase_date >= cells.close_365d
          and (purchase_days.next_date is null or purchase_days.next_date >= cells.close_date)
      left join days_before
          on purchase_days.customer_key = days_before.customer_key
          and cells.period_start = days_before.period_start
          and cells.grain = days_before.grain
  ),

  at_opening as (
      select
          purchase_days.customer_key,
          cells.grain,
          cells.period_start,
          {{ at_opening.ordered }} as ordered
      from purchase_days
      inner join cells
          on purchase_days.purchase_date < cells.period_start
          and (purchase_days.next_date is null or purchase_days.next_date >= cells.period_start)
  ),

  days_of_year as (
      select
          purchase_days.customer_key,
          cells.grain,
          cells.period_start,
          count(*) as purchase_days
      from purchase_days
      inner join cells
          on purchase_days.purchase_date < cells.close_date
          and purchase_days.purchase_date >= cells.close_365d
      where cells.grain <> 'week'
      group by
          purchase_days.customer_key,
          cells.grain,
          cells.period_start
  )
  {%- endset -%}
  {%- for name in expressions -%}
    {%- set wanted = {} -%}
    {%- for measure, expression in expressions[name].items() if measure in counts + amounts -%} {%- do wanted.update({measure: expression}) -%} {%- endfor -%}
    {%- do expressions.update({name: wanted}) -%}
  {%- endfor -%}
  {{ return({'ctes': ctes, 'parts': expressions, 'types': typed(counts, amounts, 'decimal(38, 2)'), 'own_profile': []}) }}
{%- endmacro %}
