{# Maximal intervals of a customer: overlapping or touching ones become one. `intervals` selects customer_key, start_date, end_date. #}
{% macro merged_spans(intervals) -%}
  select
      customer_key,
      min(start_date) as start_date,
      max(end_date) as end_date
  from (
      select
          customer_key,
          start_date,
          end_date,
          sum(case when reached is null or start_date > reached then 1 else 0 end)
              over (partition by customer_key order by start_date nulls last, end_date nulls last rows unbounded preceding) as island
      from (
          select
              customer_key,
              start_date,
              end_date,
              max(end_date) over (
                  partition by customer_key order by start_date nulls last, end_date nulls last
                  rows between unbounded preceding and 1 preceding
              ) as reached
          from ({{ intervals }}) as intervals
      ) as reaching
  ) as islands
  group by
      customer_key,
      island
{%- endmacro %}
