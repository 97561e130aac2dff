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

{# Every order with its refund and the reason why it does not count. #}
{% macro judged_orders() -%}
  select
      *,
      {{ exclusion_reason() }} as exclusion_reason
  from (
      select
          *,
          cast({{ order_refund() }} as decimal(18, 2)) as refund
      from {{ ref('stg_orders') }}
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
