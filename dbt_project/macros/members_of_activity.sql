{% macro activity_members() -%}
  {%- set flows = ['active_days', 'active_customers', 'active_new', 'active_returning'] -%}
  {%- set parts = activity_parts() -%}
  {%- set at_close = activity_state('cells.close_date', 'last_days.active_date', 'cells.previous_start') -%}
  {%- set of_entries = {} -%}
  {%- for flow in flows -%} {%- do of_entries.update({flow: parts.entries.counts[flow]}) -%} {%- endfor -%}
  {%- do of_entries.update({'active_resurrected': 'active_customers - active_new - active_returning', 'active_dormant': '-active_returning'}) -%}
  {%- set of_previous = {'active_dormant': 1} -%}
  {%- set of_close = {} -%}
  {%- for column in ['wau', 'mau', 'yau', 'mau_active_days', 'index_active_days'] -%} {%- do of_close.update({column: 'at_close.' ~ column}) -%} {%- endfor -%}
  {%- set ctes -%}
  active_days as (
      select * from {{ fact('int_active_days') }}
  ),

  session_lengths as (
      select * from {{ fact('int_session_lengths') }}
  ),

  {{ cells_of_members() }},

  {{ members_of_parts(parts) }},

  {# The last active day before the close, and the one before the window of mau_days. #}
  last_days as (
      select
          active_days.customer_key,
          cells.grain,
          cells.period_start,
          active_days.active_date,
          active_days.day_number
      from active_days
      inner join cells
          on active_days.active_date < cells.close_date
          and (active_days.next_date is null or active_days.next_date >= cells.close_date)
  ),

  days_before as (
      select
          active_days.customer_key,
          cells.grain,
          cells.period_start,
          active_days.day_number
      from active_days
      inner join cells
          on active_days.active_date < cells.mau_start
          and (active_days.next_date is null or active_days.next_date >= cells.mau_start)
  ),

  active_at_close as (
      select distinct
          spans.customer_key,
          cells.grain,
          cells.period_start
      from {{ fact('int_active_spans') }} as spans
      inner join cells
          on spans.start_date < cells.close_date
          and spans.end_date >= cells.close_date
      where spans.basis = 'any'
          or spans.is_only_basis
  ),

  at_close as (
      select
          last_days.customer_key,
          last_days.grain,
          last_days.period_start,
          {{ at_close.wau }} as wau,
          {{ at_close.mau }} as mau,
          {{ at_close.yau }} as yau,
          last_days.day_number - coalesce(days_before.day_number, 0) as mau_active_days,
          case when active_at_close.customer_key is not null then last_days.day_number - coalesce(days_before.day_number, 0) else 0 end as index_active_days
      from last_days
      inner join cells
          on last_days.period_start = cells.period_start
          and last_days.grain = cells.grain
      left join days_before
          on last_days.customer_key = days_before.customer_key
          and last_days.period_start = days_before.period_start
          and last_days.grain = days_before.grain
      left join active_at_close
          on last_days.customer_key = active_at_close.customer_key
          and last_days.period_start = active_at_close.period_start
          and last_days.grain = active_at_close.grain
  ),

  active_before as (
      select distinct
          active_days.customer_key,
          cells.grain,
          cells.period_start
      from active_days
      inner join cells
          on active_days.active_date < cells.period_start
          and active_days.active_date >= cells.previous_start
  )
  {%- endset -%}
  {{ return({
    'ctes': ctes,
    'parts': {'entries': of_entries, 'sessions': parts.sessions.counts, 'at_close': of_close, 'active_before': of_previous},
    'types': typed(flows + ['active_resurrected', 'active_dormant', 'session_events'] + (of_close | list)),
    'own_profile': []
  }) }}
{%- endmacro %}
