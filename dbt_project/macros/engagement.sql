{# Activity: which events count, and the windows in which days make a customer active (docs/kpis.md). #}

{# Events that count: named in active_events, of a known customer, on or after data_start; of the surviving customer. #}
{% macro counted_events() -%}
  select
      coalesce(identities.customer_key, events.customer_key) as customer_key,
      events.occurred_date,
      events.duration_seconds
  from {{ ref('stg_events') }} as events
  left join {{ ref('int_identities') }} as identities
      on events.customer_key = identities.alias_key
  where events.customer_key is not null
      and {{ is_since_data_start('events.occurred_date') }}
      and {{ is_active_event('events.event') }}
{%- endmacro %}

{% macro is_active_event(column) -%}
  {%- if var('active_events') is none -%} true
  {%- else -%}
    {{ column }} in ({% for event in var('active_events') %}'{{ event | replace("'", "''") }}'{{ ', ' if not loop.last }}{% endfor %})
  {%- endif -%}
{%- endmacro %}

{# Days of the rolling windows: measure → days before the close. #}
{% macro active_windows() -%} {{ return({'wau': 7, 'mau': var('mau_days'), 'yau': 365}) }} {%- endmacro %}

{# The condition that an active day which keeps its place, and has its next days only from kept_until on, adds to all sums what it added before: each window is over before these days, or is not
   over yet, and no mark is reached. The dates are tonight's, whichever generation is read. #}
{% macro counts_alike(fact) -%}
  {%- if fact != 'int_active_days' -%} {%- do exceptions.raise_compiler_error('nobody says when rows of ' ~ fact ~ ' count alike') -%} {%- endif -%}
  {%- set tonight = modules.datetime.date.fromisoformat(var('as_of')) -%}
  {%- for days in active_windows().values() -%}
    (kept_until >= {{ add_days('active_date', days) }} or (kept_until is not null and active_date >= cast('{{ tonight - modules.datetime.timedelta(days=days) }}' as date))) and{{ ' ' }}
  {%- endfor -%}
  ({{ is_due(fact) }}) is not true
{%- endmacro %}

{# The same as a column of replaced rows and of those in their place, so that it is asked once of each. #}
{% macro says_counts_alike(fact) -%} ({{ counts_alike(fact) }}) is true as counts_alike {%- endmacro %}

{# CTE active_at_changes: the customers and periods in which a profile changes, with what they take along: how they were active before the opening. Two look-ups as of the
   opening, of the last active day before it and of the last one before the window of mau_days, among all active days of these customers. Expects the CTE changing_profiles. #}
{% macro active_at_changes() -%}
  changes_of_profile as (
      select *, {{ add_days('period_start', -var('mau_days')) }} as window_start
      from ({{ profile_changes(all_grains=true) }}) as changes
  ),

  days_of_changing as (
      select * from {{ ref('int_active_days') }}
      where customer_key in (select customer_key from changing_profiles)
  ),

  active_at_changes as (
      select
          changes_of_profile.grain,
          changes_of_profile.period_start,
          changes_of_profile.profile_before,
          changes_of_profile.profile_key,
          changes_of_profile.customer_key,
          days_of_changing.active_date as last_date,
          days_of_changing.day_number - coalesce(days_before_window.day_number, 0) as mau_days
      from changes_of_profile
      {{ join_last_before('changes_of_profile', 'period_start', 'days_of_changing', 'active_date', 'next_date') }}
      {{ join_last_before('changes_of_profile', 'window_start', 'days_of_changing', 'active_date', 'next_date', alias='days_before_window', side='left') }}
  )
{%- endmacro %}

{# What active days and sessions add to the sums of a period, see sums_of_parts. An active day knows by the one before whether it is the customer's first in a period.
   Expects the CTEs active_days and session_lengths. #}
{% macro activity_parts() -%}
  {%- set entries = {
    'active_days': 'count(*)',
    'active_customers': count_where(or_never('active_days.previous_date') ~ ' < calendar.period_start'),
    'active_new': count_where('active_days.day_number = 1'),
    'active_returning': count_where('active_days.previous_date < calendar.period_start and active_days.previous_date >= calendar.previous_start')
  } -%}
  {%- for window, days in active_windows().items() -%}
    {%- do entries.update({window ~ '_change': count_where(or_never('active_days.previous_date') ~ ' <= ' ~ add_days('active_days.active_date', -days))}) -%}
  {%- endfor -%}
  {%- set counts = {'mau_days_change': 'active_days'} -%}
  {%- for column in entries -%} {%- do counts.update({column: column}) -%} {%- endfor -%}
  {{ return({
    'entries': {'facts': 'active_days', 'day': 'active_date', 'measures': entries, 'counts': counts},
    'sessions': {'facts': 'session_lengths', 'day': 'active_date', 'measures': {'events': 'sum(session_lengths.events)'}, 'counts': {'session_events': 'events'}}
  }) }}
{%- endmacro %}

{# Whether somebody counts as active at a moment: column → expression over `last_date`, the last active day before it. `active_before`: since `previous_start`. #}
{% macro activity_state(moment, last_date, previous_start) -%}
  {%- set state = {} -%}
  {%- for window, days in active_windows().items() -%}
    {%- do state.update({window: 'case when ' ~ last_date ~ ' >= ' ~ add_days(moment, -days) ~ ' then 1 else 0 end'}) -%}
  {%- endfor -%}
  {%- do state.update({'active_before': 'case when ' ~ last_date ~ ' >= ' ~ previous_start ~ ' then 1 else 0 end'}) -%}
  {{ return(state) }}
{%- endmacro %}
