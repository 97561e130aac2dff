{# Flows: sums over customers of what their facts contribute to a period, rolled up from profiles to segment values. #}

{# Sums per profile → sums per segment dimension and value, `all` included. `keys` and `measures` are column names of `sums`, which has profile_key. #}
{% macro by_segment(sums, keys, measures, type='bigint') -%}
  select
{%- for key in keys %}
      {{ sums }}.{{ key }},
{%- endfor %}
      profile_values.segment_dimension,
      profile_values.segment_value,
{%- for measure in measures %}
      cast(sum({{ sums }}.{{ measure }}) as {{ type if type is string else type[measure] }}) as {{ measure }}{{ ',' if not loop.last }}
{%- endfor %}
  from {{ sums }}
  inner join profile_values
      on {{ sums }}.profile_key = profile_values.profile_key
  group by
{%- for key in keys %}
      {{ sums }}.{{ key }},
{%- endfor %}
      profile_values.segment_dimension,
      profile_values.segment_value
{%- endmacro %}

{# What leaves and enters each segment value when customers change profile at an opening. `moves` has the keys, profile_before, profile_key and the measures.
   Gives keys, segment_dimension, segment_value, <measure>_in and <measure>_out; only dimensions whose value differs; never `all`. Many customers make the same
   change in a dimension or two, so changes are added up by the values that differ, under two profiles that have them, before they are looked at dimension by dimension. #}
{% macro moves_by_segment(moves, keys, measures, type='bigint') -%}
  with moves_of_profiles as (
      select
{%- for key in keys %}
          {{ key }},
{%- endfor %}
          min(profile_before) as profile_before,
          min(profile_key) as profile_key,
{%- for measure in measures %}
          cast(sum({{ measure }}) as {{ type if type is string else type[measure] }}) as {{ measure }}{{ ',' if not loop.last }}
{%- endfor %}
      from {{ moves }}
      group by
{%- for key in keys %}
          {{ key }},
{%- endfor %}
          {{ differing_values('profile_before', 'profile_key') }},
          profile_key - profile_before
  ),

  {# A left join, though each profile has its values: inner ones DuckDB puts in an order in which all profiles meet all others first. #}
  changed_values as (
      select
{%- for key in keys %}
          moves_of_profiles.{{ key }},
{%- endfor %}
          after_move.segment_dimension,
          after_move.segment_value as value_after,
          before_move.segment_value as value_before,
{%- for measure in measures %}
          moves_of_profiles.{{ measure }}{{ ',' if not loop.last }}
{%- endfor %}
      from moves_of_profiles
      inner join profile_values as after_move
          on moves_of_profiles.profile_key = after_move.profile_key
      left join profile_values as before_move
          on moves_of_profiles.profile_before = before_move.profile_key
          and after_move.segment_dimension = before_move.segment_dimension
      where after_move.segment_value is distinct from before_move.segment_value
  )

  select
{%- for key in keys %}
      {{ key }},
{%- endfor %}
      segment_dimension,
      segment_value,
{%- for measure in measures %}
      cast(sum({{ measure }} * is_in) as {{ type if type is string else type[measure] }}) as {{ measure }}_in,
      cast(sum({{ measure }} * (1 - is_in)) as {{ type if type is string else type[measure] }}) as {{ measure }}_out{{ ',' if not loop.last }}
{%- endfor %}
  from (
{%- for side in ['in', 'out'] %}
      select
{%- for key in keys %}
          {{ key }},
{%- endfor %}
          segment_dimension,
          {{ 'value_after' if side == 'in' else 'value_before' }} as segment_value,
          {{ 1 if side == 'in' else 0 }} as is_in,
{%- for measure in measures %}
          {{ measure }}{{ ',' if not loop.last }}
{%- endfor %}
      from changed_values
      {% if side == 'in' %}union all{% endif %}
{%- endfor %}
  ) as sides
  group by
{%- for key in keys %}
      {{ key }},
{%- endfor %}
      segment_dimension,
      segment_value
{%- endmacro %}

{# Changes of profile at the opening of a period: grain, customer_key, period_start, profile_before, profile_key; of this grain or of all. #}
{% macro profile_changes(rule='period', all_grains=false) -%}
  select
      grain,
      customer_key,
      from_period as period_start,
      profile_before,
      profile_key
  from {{ fact('int_profile_spans') }}
  where rule = '{{ rule }}'
      {% if not all_grains %}and grain = {{ this_grain() }}{% endif %}
{%- endmacro %}

{# CTEs that sums_of_facts and by_segment read; `calendar` and `days` are queries, where a model reads another calendar than the whole. #}
{% macro inputs_of_sums(calendar=none, days=none) -%}
  calendar as (
      {{ calendar or 'select * from ' ~ ref('int_calendar') }}
  ),

  calendar_of_days as (
      {{ days or calendar_of_days() }}
  ),

  profile_values as (
      select * from {{ ref('int_profile_values') }}
  ),

  lasting_profiles as (
      {{ lasting_profiles() }}
  ),

  changing_profiles as (
      {{ changing_profiles() }}
  )
{%- endmacro %}

{# CTEs that add up one kind of facts to sums per grain, period and profile, `name` last. `day` is the column by which a fact belongs to a period, `measures` are
   column → aggregate; what depends on the period says calendar.period_start and calendar.close_date. Facts of customers with one profile for life are added up
   by slice of the calendar first, for all grains in one pass. Expects the CTEs calendar, calendar_of_days, lasting_profiles and changing_profiles; where an
   aggregate says calendar.previous_start, these have the start of the period before, too. `keys` are further columns of the facts to add up by; `movers` is a relation
   of the facts of the other customers, if there is one that knows their profiles (mover_profile). #}
{% macro sums_of_facts(name, facts, day, measures, condition='true', keys=[], movers=none) -%}
  {{ name }}_by_slice as (
      select
          calendar_of_days.slice_start,
          coalesce(lasting_profiles.profile_key, 0) as profile_key,
{%- for key in keys %}
          {{ facts }}.{{ key }},
{%- endfor %}
{%- for column, aggregate in measures.items() %}
{%- if 'calendar.' in aggregate %}
{%- for grain in grains() %}
          {{ of_grain(aggregate, grain) }} as {{ column }}_{{ grain }}{{ ',' if not loop.last }}
{%- endfor %}{{ ',' if not loop.last }}
{%- else %}
          {{ aggregate }} as {{ column }}{{ ',' if not loop.last }}
{%- endif %}
{%- endfor %}
      from {{ facts }}
      inner join calendar_of_days
          on {{ facts }}.{{ day }} = calendar_of_days.calendar_date
      left join lasting_profiles
          on {{ facts }}.customer_key = lasting_profiles.customer_key
      where coalesce(lasting_profiles.profile_key, 0) >= 0
          and {{ condition }}
      group by
          calendar_of_days.slice_start,
{%- for key in keys %}
          {{ facts }}.{{ key }},
{%- endfor %}
          coalesce(lasting_profiles.profile_key, 0)
  ),

{%- if not movers %}
  {{ name }}_of_changing as (
      select {{ facts }}.*
      from {{ facts }}
      inner join lasting_profiles
          on {{ facts }}.customer_key = lasting_profiles.customer_key
          and lasting_profiles.profile_key = -1
      where {{ condition }}
  ),
{%- endif %}

  {{ name }} as (
{%- for grain in grains() %}
      select
          '{{ grain }}' as grain,
          calendar.period_start,
          {{ name }}_by_slice.profile_key,
{%- for key in keys %}
          {{ name }}_by_slice.{{ key }},
{%- endfor %}
{%- for column, aggregate in measures.items() %}
          sum({{ name }}_by_slice.{{ column }}{{ '_' ~ grain if 'calendar.' in aggregate }}) as {{ column }}{{ ',' if not loop.last }}
{%- endfor %}
      from {{ name }}_by_slice
      inner join calendar
          on {{ name }}_by_slice.slice_start = calendar.calendar_date
          and calendar.grain = '{{ grain }}'
      group by
          calendar.period_start,
{%- for key in keys %}
          {{ name }}_by_slice.{{ key }},
{%- endfor %}
          {{ name }}_by_slice.profile_key
      union all
{%- endfor %}
{%- for grain in grains() %}
      select
          '{{ grain }}' as grain,
          calendar.period_start,
          {{ mover_profile(facts, grain) if movers else 'coalesce(changing_profiles.profile_key, 0)' }} as profile_key,
{%- for key in keys %}
          {{ facts }}.{{ key }},
{%- endfor %}
{%- for column, aggregate in measures.items() %}
          {{ aggregate }} as {{ column }}{{ ',' if not loop.last }}
{%- endfor %}
      from {{ movers or name ~ '_of_changing' }} as {{ facts }}
      inner join calendar
          on {{ facts }}.{{ day }} = calendar.calendar_date
          and calendar.grain = '{{ grain }}'
{%- if movers %}
      where {{ condition }}
{%- else %}
      left join changing_profiles
          on {{ facts }}.customer_key = changing_profiles.customer_key
          and changing_profiles.grain = '{{ grain }}'
          and changing_profiles.from_period <= calendar.period_start
          and calendar.period_start < changing_profiles.to_period
{%- endif %}
      group by
          calendar.period_start,
{%- for key in keys %}
          {{ facts }}.{{ key }},
{%- endfor %}
          {{ mover_profile(facts, grain) if movers else 'coalesce(changing_profiles.profile_key, 0)' }}
      {% if not loop.last %}union all{% endif %}
{%- endfor %}
  )
{%- endmacro %}

{# The profile of a fact of a customer whose profile changes, in its period of a grain (int_mover_purchase_days). #}
{% macro mover_profile(facts, grain) -%} {{ facts }}.{{ grain }}_profile {%- endmacro %}

{# What is said of a day's period in calendar, said of its period of one grain in calendar_of_days. #}
{% macro of_grain(expression, grain) -%}
  {{ return(expression | replace('calendar.period_start', 'calendar_of_days.' ~ grain ~ '_start') | replace('calendar.close_date', 'calendar_of_days.' ~ grain ~ '_close')
    | replace('calendar.previous_start', 'calendar_of_days.' ~ grain ~ '_previous')) }}
{%- endmacro %}

{# Sums of a basis and, where a customer has only that basis, of `any` too. `sums` has basis, is_only_basis and `columns`. #}
{% macro and_any(sums, columns) -%}
  select basis, {{ columns | join(', ') }} from {{ sums }}
  union all
  select 'any' as basis, {{ columns | join(', ') }} from {{ sums }} where is_only_basis and basis <> 'any'
{%- endmacro %}

{# The same added up, a row per basis and `keys`. #}
{% macro sums_and_any(sums, keys, measures) -%}
  select
      basis,
{%- for key in keys %}
      {{ key }},
{%- endfor %}
{%- for measure in measures %}
      cast(sum({{ measure }}) as bigint) as {{ measure }}{{ ',' if not loop.last }}
{%- endfor %}
  from (
      {{ and_any(sums, keys + measures) }}
  ) as sums_with_any
  group by
      basis,
{%- for key in keys %}
      {{ key }}{{ ',' if not loop.last }}
{%- endfor %}
{%- endmacro %}

{# CTE cells: every period of a (grain, keys, segment) from the first one in which it has a flow. Expects the CTEs flows and periods. #}
{% macro running_cells(keys) -%}
  first_periods as (
      select
          grain,
{%- for key in keys %}
          {{ key }},
{%- endfor %}
          segment_dimension,
          segment_value,
          min(period_start) as first_period_start
      from flows
      group by
          grain,
{%- for key in keys %}
          {{ key }},
{%- endfor %}
          segment_dimension,
          segment_value
  ),

  cells as (
      select
          first_periods.grain,
{%- for key in keys %}
          first_periods.{{ key }},
{%- endfor %}
          first_periods.segment_dimension,
          first_periods.segment_value,
          periods.period_start,
          periods.period_end,
          periods.close_date
      from first_periods
      inner join periods
          on first_periods.grain = periods.grain
          and first_periods.first_period_start <= periods.period_start
  )
{%- endmacro %}

{# No figures for periods that end at or before history_start. #}
{% macro after_history_start(period_end='period_end') -%}
  {%- if var('history_start') -%} {{ period_end }} > cast('{{ var("history_start") }}' as date) {%- else -%} true {%- endif -%}
{%- endmacro %}

{# The types of one row's contribution to these sums: narrow rows cost half of wide ones. Money of one row may be as wide as its sum. #}
{% macro narrow(columns) -%}
  {%- set narrow_types = {'bigint': 'integer'} -%}
  {%- set found = {} -%}
  {%- for column, type in columns.items() -%} {%- do found.update({column: narrow_types.get(type, type)}) -%} {%- endfor -%}
  {{ return(found) }}
{%- endmacro %}

{# The columns of a contribution, named ones from their expression, the others 0. #}
{% macro only(columns, expressions) -%}
{%- for column, type in columns.items() -%}
  cast({{ expressions.get(column, 0) }} as {{ type }}) as {{ column }}{{ ', ' if not loop.last }}
{%- endfor -%}
{%- endmacro %}

{# Rows that meet a condition; cheaper than a sum of ones and zeros. #}
{% macro count_where(condition) -%} count(case when {{ condition }} then 1 end) {%- endmacro %}

{% macro ratio(numerator, denominator) -%}
  case when {{ denominator }} = 0 then null else cast({{ numerator }} as double) / cast({{ denominator }} as double) end
{%- endmacro %}

{# The days of periods that are shown. #}
{% macro calendar_of_shown_periods() -%}
  select * from {{ ref('int_calendar') }}
  where {{ after_history_start() }}
{%- endmacro %}

{# The days of periods that are shown and whose opening, of a basis, data_start does not cut. #}
{% macro calendar_of_whole_openings(basis) -%}
  {{ calendar_of_shown_periods() }}
      and {{ cohort_is_whole("'" ~ basis ~ "'", 'period_start') }}
{%- endmacro %}
