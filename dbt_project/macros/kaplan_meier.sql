{# Kaplan–Meier, from counts of events and censorings per duration. #}

{# One row per `keys` and duration t of `durations` (keys, t, events, censored): at_risk, survival S(t) and greenwood, the sum of events / (at_risk × (at_risk - events)).
   Events come before censorings at equal t, so who is censored at t is at risk in it. Where all at risk end, S is 0. #}
{% macro survival_steps(durations, keys) -%}
  select
{%- for key in keys %}
      {{ key }},
{%- endfor %}
      t,
      at_risk,
      events,
      censored,
      case
          when at_risk = events then cast(0 as double)
          else exp(sum(case when at_risk = events then cast(0 as double) else ln(cast(at_risk - events as double) / at_risk) end) over so_far)
      end as survival,
      sum(case when at_risk = events then cast(0 as double) else cast(events as double) / (cast(at_risk as double) * (at_risk - events)) end) over so_far as greenwood
  from (
      select
{%- for key in keys %}
          {{ key }},
{%- endfor %}
          t,
          events,
          censored,
          cast(sum(events + censored) over (partition by {{ keys | join(', ') }} order by t desc nulls last rows unbounded preceding) as bigint) as at_risk
      from {{ durations }}
  ) as risks
  window so_far as (partition by {{ keys | join(', ') }} order by t nulls last rows unbounded preceding)
{%- endmacro %}

{# The condition that the curve has come down to one half. #}
{% macro is_halved(survival) -%} {{ survival }} <= 0.5e0 + 1e-12 {%- endmacro %}

{# CTE purchase_waits: per grain (but week), period and segment the purchase days of the 365 days before the close and the Kaplan–Meier median of the days to the next one.
   Balances run over int_purchase_wait_flows. Expects the CTE periods. #}
{% macro purchase_waits() -%}
  wait_balances as (
      select
          grain,
          segment_dimension,
          segment_value,
          gap_days,
          purchase_date,
          period_start as from_period,
          lead(period_start, 1, {{ last_day() }}) over so_far as to_period,
          sum(waits) over (
              partition by grain, segment_dimension, segment_value, gap_days, purchase_date order by period_start nulls last rows unbounded preceding
          ) as waits
      from {{ ref('int_purchase_wait_flows') }}
      window so_far as (partition by grain, segment_dimension, segment_value, gap_days, purchase_date order by period_start nulls last)
  ),

  {# Each wait is compared with all periods of its grain, of which most lie before the first one. #}
  periods_of_waits as (
      select * from periods
      where period_start >= (select min(from_period) from wait_balances)
          and {{ after_history_start() }}
  ),

  wait_durations as (
      select
          wait_balances.grain,
          periods.period_start,
          wait_balances.segment_dimension,
          wait_balances.segment_value,
          case
              when wait_balances.gap_days > 0 then wait_balances.gap_days
              else {{ days_between('wait_balances.purchase_date', 'periods.close_date') }}
          end as t,
          cast(sum(case when wait_balances.gap_days > 0 then wait_balances.waits else 0 end) as bigint) as events,
          cast(sum(case when wait_balances.gap_days > 0 then 0 else wait_balances.waits end) as bigint) as censored
      from wait_balances
      inner join periods_of_waits as periods
          on wait_balances.grain = periods.grain
          and wait_balances.from_period <= periods.period_start
          and periods.period_start < wait_balances.to_period
      where wait_balances.waits <> 0
      group by
          wait_balances.grain,
          periods.period_start,
          wait_balances.segment_dimension,
          wait_balances.segment_value,
          case
              when wait_balances.gap_days > 0 then wait_balances.gap_days
              else {{ days_between('wait_balances.purchase_date', 'periods.close_date') }}
          end
  ),

  wait_steps as (
      {{ survival_steps('wait_durations', ['grain', 'period_start', 'segment_dimension', 'segment_value']) }}
  ),

  purchase_waits as (
      select
          grain,
          period_start,
          segment_dimension,
          segment_value,
          max(at_risk) as purchase_days,
          cast(min(case when {{ is_halved('survival') }} then t end) as integer) as median_days
      from wait_steps
      group by
          grain,
          period_start,
          segment_dimension,
          segment_value
  )
{%- endmacro %}
