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
