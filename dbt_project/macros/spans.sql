{# Maximal intervals of a customer: overlapping or touching ones become one. `intervals` selects customer_key, start_date, end_date.
   Of intervals that start on one day the longest covers the others, so each start is one row before rows are put in order: two windows over ties need not agree. #}
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
              over (partition by customer_key order by start_date nulls last rows unbounded preceding) as island
      from (
          select
              customer_key,
              start_date,
              end_date,
              max(end_date) over (
                  partition by customer_key order by start_date nulls last rows between unbounded preceding and 1 preceding
              ) as reached
          from (
              select
                  customer_key,
                  start_date,
                  max(end_date) as end_date
              from ({{ intervals }}) as intervals
              group by
                  customer_key,
                  start_date
          ) as starts
      ) as reaching
  ) as islands
  group by
      customer_key,
      island
{%- endmacro %}
