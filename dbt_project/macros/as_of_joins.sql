{# Joins of a customer's moments with the one row that holds then: all rows of a customer with all moments would be too many pairs.
   What is joined are the customer's rows in order, the start of each and the start of the next one (null for the last). #}

{# The customer's last row of `rows` whose `day` lies before `moment`. `side` is inner or left. #}
{% macro join_last_before(left, moment, rows, day, next_day, alias=none, side='inner') -%}
  {{ return(adapter.dispatch('join_last_before', 'retention')(left, moment, rows, day, next_day, alias or rows, side)) }}
{%- endmacro %}

{% macro duckdb__join_last_before(left, moment, rows, day, next_day, alias, side) -%}
  asof {{ side }} join {{ rows }} as {{ alias }}
      on {{ left }}.customer_key = {{ alias }}.customer_key
      and {{ left }}.{{ moment }} > {{ alias }}.{{ day }}
{%- endmacro %}

{% macro spark__join_last_before(left, moment, rows, day, next_day, alias, side) -%}
  {{ side }} join {{ rows }} as {{ alias }}
      on {{ left }}.customer_key = {{ alias }}.customer_key
      and {{ left }}.{{ moment }} > {{ alias }}.{{ day }}
      and ({{ alias }}.{{ next_day }} is null or {{ left }}.{{ moment }} <= {{ alias }}.{{ next_day }})
{%- endmacro %}
