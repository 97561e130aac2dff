{# Orders: which count, why the others do not, and what they are worth (docs/kpis.md). #}

{# The refund that an order carries: a refunded order without an amount is fully refunded; a negative order has none. #}
{% macro order_refund() -%}
  case
    when amount < 0 then 0
    when status = 'refunded' and refunded_amount is null then amount
    else coalesce(refunded_amount, 0)
  end
{%- endmacro %}

{# Null for a counted order, else the first reason that applies. Expects the columns of stg_orders and refund. #}
{% macro exclusion_reason() -%}
  case
    when is_test then 'test'
    when status = 'cancelled' then 'cancelled'
    when status = 'pending' then 'pending'
    when customer_key is null then 'unattributed'
    when amount < 0 then 'negative'
    when amount = 0 and not {{ var('count_zero_value') | lower }} then 'zero_value'
    when refund >= amount and not (amount = 0 and refund = 0 and status = 'paid') then 'fully_refunded'
  end
{%- endmacro %}

{# Every order with its refund and the reason why it does not count. refund_rows: the part of the refund that came as rows; refunded_amount is the whole, where it is given. #}
{% macro judged_orders() -%}
  select
      *,
      {{ exclusion_reason() }} as exclusion_reason
  from (
      select
          *,
          greatest(cast({{ order_refund() }} as decimal(18, 2)), refund_rows) as refund
      from (
          select
              orders.*,
              cast(least(coalesce(booked.refund, 0), greatest(orders.amount, 0)) as decimal(18, 2)) as refund_rows
          from {{ ref('stg_orders') }} as orders
          left join (
              select order_id, sum(refund) as refund
              from {{ ref('stg_refunds') }}
              group by order_id
          ) as booked
              on orders.order_id = booked.order_id
          left join {{ ref('stg_refunds') }} as refunds_of_orders
              on orders.order_id = refunds_of_orders.refund_id
          where refunds_of_orders.refund_id is null
      ) as orders
  ) as refunds
{%- endmacro %}

{# Every order with surviving customer, refund, reason and rate of its day. #}
{% macro resolved_orders() -%}
  select
      orders.order_id,
      coalesce(identities.customer_key, orders.customer_key) as customer_key,
      orders.ordered_date,
      orders.ordered_at,
      orders.amount,
      orders.currency,
      orders.status,
      orders.refund,
      orders.refund_rows,
      coalesce(orders.refunded_date, orders.ordered_date) as refunded_date,
      orders.is_test,
      orders.channel,
      orders.exclusion_reason,
      orders.load_id,
      fx_rates.rate
  from ({{ judged_orders() }}) as orders
  left join {{ ref('int_identities') }} as identities
      on orders.customer_key = identities.alias_key
  left join {{ ref('int_fx_rates') }} as fx_rates
      on orders.currency = fx_rates.currency
      and orders.ordered_date = fx_rates.rate_date
{%- endmacro %}

{# Counted orders on or after data_start with their net amount in the reporting currency. #}
{% macro counted_orders() -%}
  select
      order_id,
      customer_key,
      ordered_date,
      ordered_at,
      channel,
      {{ order_money_to_reporting('amount - refund', 'currency', 'rate') }} as revenue
  from ({{ resolved_orders() }}) as resolved
  where exclusion_reason is null
      and {{ is_since_data_start('ordered_date') }}
{%- endmacro %}

{# Calendar months from a customer's first purchase day to a purchase day, in whole half years. #}
{% macro half_years(first_date, day) -%} {{ int_div(months_between(first_date, day), 6) }} {%- endmacro %}

{# Ranks of orders that are told apart; later ones are rank 11. #}
{% macro order_ranks() -%} {{ return(10) }} {%- endmacro %}

{# What orders and refunds add to the sums of a period, see sums_of_parts. A purchase day knows by its neighbours whether it is the customer's first in a period, and
   whether another follows in it. Expects the CTEs purchase_days (with expiry_date), refunds and first_facts; sums mover_purchase_days, too. #}
{% macro order_parts() -%}
  {%- set is_first_in_period = or_never('purchase_days.previous_date') ~ ' < calendar.period_start' -%}
  {%- set is_followed_in_period = 'purchase_days.next_date < calendar.close_date' -%}
  {%- set purchases = {
    'orders': 'sum(purchase_days.orders)',
    'order_revenue': 'sum(purchase_days.revenue)',
    'ordering_customers': count_where(is_first_in_period),
    'repeat_customers': count_where(is_first_in_period ~ ' and ' ~ is_followed_in_period),
    'buyers_returning': count_where('purchase_days.previous_date >= calendar.previous_start and purchase_days.previous_date < calendar.period_start'),
    'second_time_buyers': count_where('purchase_days.day_number = 2'),
    'second_order_buyers': count_where('purchase_days.orders_before < 2 and purchase_days.orders_before + purchase_days.orders >= 2'),
    'starts_loyalty': count_where('purchase_days.starts_loyalty'),
    'purchase_gaps': 'count(purchase_days.previous_date)',
    'purchase_gap_days': 'sum(' ~ days_between('purchase_days.previous_date', 'purchase_days.purchase_date') ~ ')',
    'starts_365d': count_where('purchase_days.purchase_date > ' ~ add_days(or_never('purchase_days.previous_date'), 365))
  } -%}
  {#- A second purchase counts in the period of the first one. -#}
  {%- set first_purchases = {
    'first_time_buyers': 'count(*)',
    'new_customer_orders': 'sum(purchase_days.orders)',
    'new_customer_revenue': 'sum(purchase_days.revenue)',
    'not_followed': count_where(or_forever('purchase_days.next_date') ~ ' >= calendar.close_date')
  } -%}
  {%- set counts_of_first = {
    'new_customer_orders': 'new_customer_orders', 'new_customer_revenue': 'new_customer_revenue', 'first_time_buyers': 'first_time_buyers',
    'returning_customers': '-not_followed'
  } -%}
  {%- for horizon in [30, 60, 90, 180, 365] -%}
    {%- set name = 'repurchased_' ~ horizon ~ 'd' -%}
    {%- do first_purchases.update({name: count_where('purchase_days.next_date < ' ~ as_of() ~ ' and purchase_days.next_date <= '
        ~ add_days('purchase_days.purchase_date', horizon))}) -%}
    {%- do counts_of_first.update({name: name}) -%}
  {%- endfor -%}
  {{ return({
    'purchases': {
      'facts': 'purchase_days', 'movers': 'mover_purchase_days', 'day': 'purchase_date', 'measures': purchases,
      'counts': {'orders': 'orders', 'order_revenue': 'order_revenue', 'ordering_customers': 'ordering_customers', 'repeat_customers': 'repeat_customers',
        'returning_customers': 'ordering_customers', 'buyers_returning': 'buyers_returning', 'second_time_buyers': 'second_time_buyers',
        'second_order_buyers': 'second_order_buyers', 'loyal_customers_change': 'starts_loyalty', 'purchase_gaps': 'purchase_gaps',
        'purchase_gap_days': 'coalesce(purchase_gap_days, 0)', 'buyers_365d_change': 'starts_365d', 'revenue_365d_change': 'order_revenue'}
    },
    'first_purchases': {
      'facts': 'purchase_days', 'movers': 'mover_purchase_days', 'day': 'purchase_date', 'measures': first_purchases, 'condition': 'purchase_days.day_number = 1', 'counts': counts_of_first
    },
    'expiries': {
      'facts': 'purchase_days', 'day': 'expiry_date',
      'measures': {
        'ends_365d': count_where(or_forever('purchase_days.next_date') ~ ' > purchase_days.expiry_date'),
        'revenue': 'sum(purchase_days.revenue)'
      },
      'counts': {'buyers_365d_change': '-ends_365d', 'revenue_365d_change': '-revenue'}
    },
    'loyalty_ends': {
      'facts': 'purchase_days', 'day': 'loyal_until', 'measures': {'ends': 'count(*)'},
      'condition': or_forever('purchase_days.next_date') ~ ' > purchase_days.loyal_until',
      'counts': {'loyal_customers_change': '-ends'}
    },
    'refunded': {
      'facts': 'refunds', 'day': 'refunded_date',
      'measures': {'refunded': 'sum(refunds.refunded)', 'guest_facts': count_where('refunds.customer_key = 0')},
      'counts': {'refunds_by_refund_date': 'refunded', 'guest_facts': 'guest_facts'}
    },
    'first_known': {
      'facts': 'first_facts', 'day': 'first_order_fact_date', 'measures': {'customers_known': 'count(*)'},
      'counts': {'customers_known_change': 'customers_known'}
    }
  }) }}
{%- endmacro %}

{# What a buyer is at a moment: column → expression over purchase_days, the last purchase day before it, and days_before, the last one before `year_before`.
   `ordered`: since `previous_start`. #}
{% macro buyer_state(moment, year_before, previous_start) -%}
  {{ return({
    'buyers': 'case when purchase_days.day_number >= 1 then 1 else 0 end',
    'repeat_buyers': 'case when purchase_days.day_number >= 2 then 1 else 0 end',
    'repeat_buyers_by_orders': 'case when purchase_days.orders_before + purchase_days.orders >= 2 then 1 else 0 end',
    'buyers_365d': 'case when purchase_days.purchase_date >= ' ~ year_before ~ ' then 1 else 0 end',
    'loyal_customers': 'case when purchase_days.loyal_until >= ' ~ moment ~ ' then 1 else 0 end',
    'ordered': 'case when purchase_days.purchase_date >= ' ~ previous_start ~ ' then 1 else 0 end',
    'revenue': 'purchase_days.revenue_to_date',
    'revenue_365d': 'purchase_days.revenue_to_date - coalesce(days_before.revenue_to_date, 0)'
  }) }}
{%- endmacro %}
