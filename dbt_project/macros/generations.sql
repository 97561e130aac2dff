{# Which generation's facts a flow is computed from, and the one grain at a time of period tables. #}

{# The literal that the materialization by_grain replaces by each grain in turn. #}
{% macro this_grain() -%} '__grain__' {%- endmacro %}

{% macro grains() -%} {{ return(['week', 'month', 'quarter', 'year']) }} {%- endmacro %}

{# Facts of this run, or of the generation that it starts from. #}
{% macro fact(model, generation='current') -%}
  {%- if generation == 'current' -%} {{ ref(model) }}
  {%- else -%} previous.main.{{ model }}
  {%- endif -%}
{%- endmacro %}

{% macro has_dataset(dataset) -%} {{ return(dataset in var('datasets')) }} {%- endmacro %}

{# Schemas as written: staging views beside main, no prefix. #}
{% macro generate_schema_name(custom_schema_name, node) -%}
  {{ custom_schema_name if custom_schema_name else target.schema }}
{%- endmacro %}
