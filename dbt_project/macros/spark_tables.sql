{# How tables come into being where dbt itself builds on its target spark; `engine: spark` makes them by transform/spark/statements.py. Always wholly, in a schema that nobody reads yet (materializations.sql has what DuckDB does at night). Grains are parts of one statement, which Spark reads the facts for in any order; Parquet knows no delete. #}

{% materialization table, adapter='spark' -%} {{ return(made_wholly(sql)) }} {%- endmaterialization %}

{% materialization by_customer, adapter='spark' -%} {{ return(made_wholly(sql)) }} {%- endmaterialization %}

{% materialization merged, adapter='spark' -%} {{ return(made_wholly(sql)) }} {%- endmaterialization %}

{% materialization by_grain, adapter='spark' -%} {{ return(made_wholly(all_grains(sql))) }} {%- endmaterialization %}

{# Sums that are all 0 are no rows. #}
{% materialization contributions, adapter='spark' -%}
  {%- set everything = all_grains(sql) -%}
  {%- set some = [] -%}
  {%- for column in get_columns_in_query(everything) if column not in config.require('flow_keys') -%} {%- do some.append(column ~ ' <> 0') -%} {%- endfor -%}
  {{ return(made_wholly('select * from (' ~ everything ~ ') as sums where ' ~ some | join(' or '))) }}
{%- endmaterialization %}

{% macro all_grains(sql) -%}
  {%- set parts = [] -%}
  {%- for grain in grains_of(sql) -%}
    {%- do parts.append('select * from (' ~ sql | replace('__grain__', grain) ~ ') as rows_of_' ~ grain) -%}
  {%- endfor -%}
  {{ return(parts | join('\nunion all\n')) }}
{%- endmacro %}

{% macro made_wholly(text) -%}
  {%- if var('night') -%} {%- do exceptions.raise_compiler_error('this engine builds by full refresh only') -%} {%- endif -%}
  {%- set target_relation = this.incorporate(type='table') -%}
  {{ run_hooks(pre_hooks) }}
  {%- call statement('drop_existing') -%} drop table if exists {{ target_relation }} {%- endcall -%}
  {%- call statement('main') -%} {{ create_table_as(False, target_relation, text) }} {%- endcall -%}
  {{ run_hooks(post_hooks) }}
  {{ return({'relations': [target_relation]}) }}
{%- endmacro %}

{# Stands where a `where` could, at the end of a query that others name several times. Spark puts the query in the place of each name, so that one that is named in
   one that is named … becomes thousands; a query that it takes for random is computed once. DuckDB does so anyway. #}
{% macro computed_once() -%} {{ return(adapter.dispatch('computed_once', 'retention')()) }} {%- endmacro %}

{% macro duckdb__computed_once() -%}{%- endmacro %}

{% macro spark__computed_once() %}
    where rand() >= 0
{%- endmacro %}
