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

{# A wait for the next purchase as a number: its gap in days or, while it is open, its day, from here on. #}
{% macro first_open_wait() -%} {{ return(512) }} {%- endmacro %}

{% macro open_wait(day) -%} {{ first_open_wait() }} + {{ day_number(day) }} {%- endmacro %}

{# CTE purchase_waits: per grain (but week), period and segment the purchase days of the 365 days before the close and the Kaplan–Meier median of the days to the next one.
   Balances run over int_purchase_wait_flows. Expects the CTE periods. A wait of a segment is the segment's number and its own in one number, a cell the segment's
   number and the period's first day (macros/numbers.sql). #}
{% macro purchase_waits() -%}
  {%- set places = cell_places() -%}
  segments_of_waits as (
      select
          row_number() over (order by grain nulls last, segment_dimension nulls last, segment_value nulls last) as segment_key,
          grain,
          segment_dimension,
          segment_value
      from (
          select distinct
              grain,
              segment_dimension,
              segment_value
          from {{ ref('int_purchase_wait_flows') }}
      ) as segments_with_waits
  ),

  wait_flows as (
      select
          segments_of_waits.segment_key,
          segments_of_waits.segment_key * {{ places }} + case
              when flows.gap_days > 0 then flows.gap_days
              else {{ open_wait('flows.purchase_date') }}
          end as wait_key,
          flows.grain,
          flows.gap_days,
          flows.purchase_date,
          flows.period_start,
          flows.waits
      from {{ ref('int_purchase_wait_flows') }} as flows
      inner join segments_of_waits
          on flows.grain = segments_of_waits.grain
          and flows.segment_dimension = segments_of_waits.segment_dimension
          and flows.segment_value = segments_of_waits.segment_value
  ),

  wait_balances as (
      select
          segment_key,
          grain,
          gap_days,
          purchase_date,
          period_start as from_period,
          lead(period_start, 1, {{ last_day() }}) over (partition by wait_key order by period_start nulls last) as to_period,
          sum(waits) over (partition by wait_key order by period_start nulls last rows unbounded preceding) as waits
      from wait_flows
  ),

  {# Each wait is compared with all periods of its grain, of which most lie before the first one. #}
  periods_of_waits as (
      select * from periods
      where period_start >= (select min(from_period) from wait_balances)
          and {{ after_history_start() }}
  ),

  waits_of_cells as (
      select
          wait_balances.segment_key * {{ places }} + {{ day_number('periods.period_start') }} as cell,
          case
              when wait_balances.gap_days > 0 then wait_balances.gap_days
              else {{ days_between('wait_balances.purchase_date', 'periods.close_date') }}
          end as t,
          case when wait_balances.gap_days > 0 then wait_balances.waits else 0 end as events,
          case when wait_balances.gap_days > 0 then 0 else wait_balances.waits end as censored
      from wait_balances
      inner join periods_of_waits as periods
          on wait_balances.grain = periods.grain
          and wait_balances.from_period <= periods.period_start
          and periods.period_start < wait_balances.to_period
      where wait_balances.waits <> 0
  ),

  wait_durations as (
      select
          cell,
          t,
          cast(sum(events) as bigint) as events,
          cast(sum(censored) as bigint) as censored
      from waits_of_cells
      group by
          cell,
          t
  ),

  wait_steps as (
      {{ survival_steps('wait_durations', ['cell']) }}
  ),

  medians_of_cells as (
      select
          cell,
          max(at_risk) as purchase_days,
          cast(min(case when {{ is_halved('survival') }} then t end) as integer) as median_days
      from wait_steps
      group by cell
  ),

  purchase_waits as (
      select
          segments_of_waits.grain,
          {{ numbered_day('medians_of_cells.cell % ' ~ places) }} as period_start,
          segments_of_waits.segment_dimension,
          segments_of_waits.segment_value,
          medians_of_cells.purchase_days,
          medians_of_cells.median_days
      from medians_of_cells
      inner join segments_of_waits
          on {{ int_div('medians_of_cells.cell', places) }} = segments_of_waits.segment_key
  )
{%- endmacro %}
