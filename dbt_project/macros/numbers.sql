{# Names and days as numbers: rows are put in order and in groups by one number in about half the time of several columns. A number of several parts has `cell_places()`
   places for each but the first; any day's number is below. #}

{% macro cell_places() -%} {{ return(1048576) }} {%- endmacro %}

{# Before every day of the calendar. #}
{% macro first_numbered_day() -%} cast('1890-01-01' as date) {%- endmacro %}

{% macro day_number(day) -%} {{ days_between(first_numbered_day(), day) }} {%- endmacro %}

{% macro numbered_day(number) -%} {{ add_days(first_numbered_day(), number) }} {%- endmacro %}

{# The place of a name among `names`, times `places`. #}
{% macro number_of(name, names, places=1) -%}
  case {{ name }}{% for one in names %} when '{{ one }}' then {{ loop.index0 * places }}{% endfor %} end
{%- endmacro %}

{% macro name_of(number, names) -%}
  case {{ number }}{% for one in names %} when {{ loop.index0 }} then '{{ one }}'{% endfor %} end
{%- endmacro %}
