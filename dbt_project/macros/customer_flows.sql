{# Customers: what their active spans contribute to the counts of a period (docs/kpis.md). #}

{% macro customer_counts() -%}
  {{ return(['customers_new', 'customers_reactivated', 'customers_lost', 'customers_transient', 'customers_joined', 'customers_referred', 'churn_events']) }}
{%- endmacro %}

{# CTEs, `contributions` last: basis, is_only_basis, customer_key, period_start and the counts, in one row per customer or more. Expects the CTEs spans, calendar
   and referrals. #}
{% macro customer_contributions(counts) -%}
  {# Starts and ends of spans, each knowing by its neighbours whether it is the customer's first or last one in the period. #}
  boundaries as (
      select
          spans.basis,
          spans.is_only_basis,
          spans.customer_key,
          {{ period_of('calendar') }},
          true as is_start,
          spans.span_number = 1 as is_first_ever,
          {{ or_never('spans.previous_end_date') }} < calendar.period_start as is_first_in_period,
          spans.end_date >= calendar.close_date as is_last_in_period
      from spans
      inner join calendar
          on spans.start_date = calendar.calendar_date
      union all
      select
          spans.basis,
          spans.is_only_basis,
          spans.customer_key,
          {{ period_of('calendar') }},
          false as is_start,
          false as is_first_ever,
          spans.start_date < calendar.period_start as is_first_in_period,
          {{ or_forever('spans.next_start_date') }} >= calendar.close_date as is_last_in_period
      from spans
      inner join calendar
          on spans.end_date = calendar.calendar_date
  ),

  {# A period with one boundary of a customer needs no grouping by customer. #}
  lone_boundaries as (
      select
          basis,
          is_only_basis,
          customer_key,
          {{ period_of() }},
          case when is_start and is_first_ever then 1 else 0 end as customers_new,
          case when is_start and not is_first_ever then 1 else 0 end as customers_reactivated,
          case when is_start then 0 else 1 end as customers_lost,
          0 as customers_transient,
          case when is_first_ever then 1 else 0 end as customers_joined,
          0 as customers_referred,
          case when is_start then 0 else 1 end as churn_events
      from boundaries
      where is_first_in_period and is_last_in_period
  ),

  multi_boundary_periods as (
      select
          basis,
          is_only_basis,
          customer_key,
          {{ period_of() }},
          max(case when is_first_in_period and not is_start then 1 else 0 end) as is_active_at_opening,
          max(case when is_last_in_period and is_start then 1 else 0 end) as is_active_at_close,
          max(case when is_first_ever then 1 else 0 end) as is_joining,
          sum(case when is_start then 0 else 1 end) as churn_events
      from boundaries
      where not (is_first_in_period and is_last_in_period)
      group by
          basis,
          is_only_basis,
          customer_key,
          {{ period_of() }}
  ),

  contributions as (
      select
          basis,
          is_only_basis,
          customer_key,
          {{ period_of() }},
          {{ counts | join(',\n        ') }}
      from lone_boundaries
      union all
      select
          basis,
          is_only_basis,
          customer_key,
          {{ period_of() }},
          (1 - is_active_at_opening) * is_active_at_close * is_joining as customers_new,
          (1 - is_active_at_opening) * is_active_at_close * (1 - is_joining) as customers_reactivated,
          is_active_at_opening * (1 - is_active_at_close) as customers_lost,
          (1 - is_active_at_opening) * (1 - is_active_at_close) as customers_transient,
          is_joining as customers_joined,
          0 as customers_referred,
          churn_events
      from multi_boundary_periods
      union all
      select
          boundaries.basis,
          boundaries.is_only_basis,
          boundaries.customer_key,
          {{ period_of('boundaries') }},
          {% for count in counts %}{{ 1 if count == 'customers_referred' else 0 }} as {{ count }}{{ ', ' if not loop.last }}{% endfor %}
      from boundaries
      inner join referrals
          on boundaries.customer_key = referrals.customer_key
      where boundaries.is_first_ever
  )
{%- endmacro %}
