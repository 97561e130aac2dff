{# One grain at a time: the model's text runs once per grain, so that memory is bounded by one grain's groups. #}
{% materialization by_grain, default -%}
  {%- set target_relation = this.incorporate(type='table') -%}
  {{ run_hooks(pre_hooks) }}
  {%- do adapter.drop_relation(load_cached_relation(this)) if load_cached_relation(this) is not none -%}
  {%- for grain in grains() -%}
    {%- set grain_sql = sql | replace('__grain__', grain) -%}
    {%- if loop.first -%}
      {%- call statement('main') -%} {{ create_table_as(False, target_relation, grain_sql) }} {%- endcall -%}
    {%- else -%}
      {%- set columns = adapter.get_columns_in_relation(target_relation) | map(attribute='name') | join(', ') -%}
      {%- call statement('main') -%}
        insert into {{ target_relation }} ({{ columns }}) select {{ columns }} from ( {{ grain_sql }} ) as one_grain
      {%- endcall -%}
    {%- endif -%}
  {%- endfor -%}
  {{ run_hooks(post_hooks) }}
  {%- do adapter.commit() -%}
  {{ return({'relations': [target_relation]}) }}
{%- endmaterialization %}
