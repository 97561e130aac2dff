{# Money: the only macros that round, half away from zero on both engines.
   Money is multiplied with 24 digits (DuckDB takes 18 times 18 for 18) and rates with 13, greater ones of which the loader refuses: products fit into 38. Sums have 38. #}

{# A decimal with more digits, rounded to 2 decimals. #}
{% macro money(amount) -%} cast({{ amount }} as decimal(38, 2)) {%- endmacro %}

{# An order's native amount in the reporting currency (rate null where the currency is the reporting currency). #}
{% macro order_money_to_reporting(amount, currency, rate) -%}
  case
    when {{ currency }} = '{{ var("reporting_currency") }}' then cast({{ amount }} as decimal(38, 2))
    else {{ money('cast(' ~ amount ~ ' as decimal(24, 2)) * cast(' ~ rate ~ ' as decimal(13, 8))') }}
  end
{%- endmacro %}

{# A native MRR in the reporting currency, 6 decimals. #}
{% macro mrr_to_reporting(amount, currency, rate) -%}
  case
    when {{ currency }} = '{{ var("reporting_currency") }}' then cast({{ amount }} as decimal(38, 6))
    else cast(cast({{ amount }} as decimal(24, 6)) * cast({{ rate }} as decimal(13, 8)) as decimal(38, 6))
  end
{%- endmacro %}

{% macro int_div(dividend, divisor) -%}
  {{ return(adapter.dispatch('int_div', 'retention')(dividend, divisor)) }}
{%- endmacro %}

{% macro duckdb__int_div(dividend, divisor) -%} (({{ dividend }}) // ({{ divisor }})) {%- endmacro %}

{% macro spark__int_div(dividend, divisor) -%} (({{ dividend }}) div ({{ divisor }})) {%- endmacro %}
