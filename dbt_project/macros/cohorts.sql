{# With data_start, cohorts whose opening is cut are absent: their members may have been active before. #}
{% macro cohort_is_whole(basis, period_start) -%}
  {%- if not var('data_start') -%} true
  {%- else -%}
  case
    when {{ basis }} = 'subscription' {{ '' if has_dataset('orders') else "or " ~ basis ~ " = 'any'" }} then {{ period_start }} > {{ data_start() }}
    else {{ add_days(period_start, -var('activity_window_days')) }} >= {{ data_start() }}
  end
  {%- endif -%}
{%- endmacro %}

{% macro cohort_max_age(grain) -%}
  case {{ grain }}
{%- for name in grains() %}
    when '{{ name }}' then {{ var('cohort_max_age')[name] }}
{%- endfor %}
  end
{%- endmacro %}

{# Columns of an event of int_cohort_flows: what happened on a `day` to a `member` of a cohort (relations with week_number and month_number). `counted` says
   whether it counts in its period of the grain that __grain stands for; `expressions` has what it is besides; the other columns are 0. #}
{% macro cohort_event(kind, day, member, expressions, counted=none) -%}
  {%- set types = {} -%}
  {%- set found = {} -%}
  {%- for grain in grains() -%}
    {%- do types.update({'counted_' ~ grain: 'integer'}) -%}
    {%- if counted is not none -%} {%- do found.update({'counted_' ~ grain: counted | replace('__grain', grain)}) -%} {%- endif -%}
  {%- endfor -%}
  {%- do types.update({'is_last': 'integer', 'mrr_change': 'decimal(24, 6)'}) -%}
  {%- do found.update(expressions) -%}
  {{ kind }} as kind,
        {{ member }}.basis_number,
        {{ member }}.profile_key,
        {%- for level in cohort_levels() %}
        {{ member }}.{{ level }}_number as cohort_{{ level }},
        {{ day }}.{{ level }}_number,
        {%- endfor %}
        {{ only(types, found) }}
{%- endmacro %}

{# The periods by which days of cohorts are added up, and the grains that are made of each. #}
{% macro cohort_levels() -%}
  {%- set levels = {} -%}
  {%- for grain in grains() -%}
    {%- set level = 'week' if grain == 'week' else 'month' -%}
    {%- do levels.update({level: levels.get(level, []) + [grain]}) -%}
  {%- endfor -%}
  {{ return(levels) }}
{%- endmacro %}

{# A cell is kind (or grain), basis, cohort and period in one number (macros/numbers.sql). #}
{% macro cohort_cell(kind, basis_number, cohort_number, period_number) -%}
  ((cast({{ kind }} as bigint) * {{ cell_bases() }} + {{ basis_number }}) * {{ cell_places() }} + {{ cohort_number }}) * {{ cell_places() }} + {{ period_number }}
{%- endmacro %}

{# Three bases, each of customers with that basis alone and of the others. #}
{% macro cell_bases() -%} {{ return(6) }} {%- endmacro %}

{% macro cell_kind(cell) -%} {{ int_div(cell, cell_bases() * cell_places() * cell_places()) }} {%- endmacro %}

{% macro cell_basis(cell) -%} {{ int_div(cell, cell_places() * cell_places()) }} % {{ cell_bases() }} {%- endmacro %}

{% macro cell_cohort(cell) -%} {{ int_div(cell, cell_places()) }} % {{ cell_places() }} {%- endmacro %}

{% macro cell_period(cell) -%} {{ cell }} % {{ cell_places() }} {%- endmacro %}

{# Weeks beyond the greatest age that is shown matter only as later ones: one number stands for them all. #}
{% macro shown_or_later(level, cohort_number, period_number) -%}
  {%- if level == 'week' -%} least({{ period_number }}, {{ cohort_number }} + {{ var('cohort_max_age')['week'] + 1 }}) {%- else -%} {{ period_number }} {%- endif -%}
{%- endmacro %}

{# With data_start, a first span that may have begun before it has no known age: subscriptions that are there on the first day, purchases whose window reaches back beyond it. #}
{% macro life_is_whole(basis, first_date) -%}
  {%- if not var('data_start') -%} true
  {%- else -%}
  (case
    when {{ basis }} = 'subscription' {{ '' if has_dataset('orders') else "or " ~ basis ~ " = 'any'" }} then {{ first_date }} > {{ data_start() }}
    else {{ first_date }} >= {{ add_days(data_start(), var('activity_window_days')) }}
  end)
  {%- endif -%}
{%- endmacro %}
