{# How tables come into being, once for all models.
   table              computed wholly in every run
   by_grain           the same, one grain at a time, so that memory is bounded by one grain's groups
   by_customer        facts: at night only rows of touched customers, and of those only customers whose rows differ, are replaced
   merged             facts of many rows per customer (merged_facts): at night the model's query is what stands in the place of some rows of the previous generation, those of which the
                      condition `replaces` holds, joined by customer with the model `replaced_from`
   contributions      sums per `flow_keys`, one grain at a time or, where the text names no grain, all at once: at night the old contributions of touched customers are taken out and the new ones put in;
                      a backfill adds up everybody's contributions and replaces the sums of the periods that it asks for #}

{# Nobody reads the database that is being made, so nothing needs another name until it is whole, as dbt-duckdb's own two
   give it. An adapter's own come before any of `default`. #}
{% materialization table, adapter='duckdb' -%}
  {%- set target_relation = this.incorporate(type='table') -%}
  {{ run_hooks(pre_hooks) }}
  {%- do drop_existing(this) -%}
  {%- call statement('main') -%} {{ create_table_as(False, target_relation, sql) }} {%- endcall -%}
  {{ run_hooks(post_hooks) }}
  {%- do adapter.commit() -%}
  {{ return({'relations': [target_relation]}) }}
{%- endmaterialization %}

{% materialization view, adapter='duckdb' -%}
  {%- set target_relation = this.incorporate(type='view') -%}
  {{ run_hooks(pre_hooks) }}
  {%- do drop_existing(this) -%}
  {%- call statement('main') -%} {{ create_view_as(target_relation, sql) }} {%- endcall -%}
  {{ run_hooks(post_hooks) }}
  {%- do adapter.commit() -%}
  {{ return({'relations': [target_relation]}) }}
{%- endmaterialization %}

{% materialization by_grain, default -%}
  {%- set target_relation = this.incorporate(type='table') -%}
  {{ run_hooks(pre_hooks) }}
  {%- do drop_existing(this) -%}
  {%- for grain in grains() -%}
    {%- call statement('main') -%} {{ created_or_inserted(target_relation, sql | replace('__grain__', grain), loop.first) }} {%- endcall -%}
  {%- endfor -%}
  {{ run_hooks(post_hooks) }}
  {%- do adapter.commit() -%}
  {{ return({'relations': [target_relation]}) }}
{%- endmaterialization %}

{% materialization by_customer, default -%}
  {%- set target_relation = this.incorporate(type='table') -%}
  {{ run_hooks(pre_hooks) }}
  {%- if not is_at_night() -%}
    {%- do drop_existing(this) -%}
    {%- call statement('main') -%} {{ create_table_as(False, target_relation, sql) }} {%- endcall -%}
    {%- if var('night') -%}
      {%- call statement('new_rows') -%}
        create or replace table {{ touched_rows(target_relation) }} as
        select * from {{ target_relation }} where customer_key in (select customer_key from main.night_touched)
      {%- endcall -%}
      {%- call statement('old_rows') -%}
        create or replace table {{ touched_rows_before(target_relation) }} as select * from {{ target_relation }} where false
      {%- endcall -%}
      {%- call statement('changed') -%}
        create or replace table {{ changed_customers(target_relation) }} as select distinct customer_key from {{ target_relation }}
      {%- endcall -%}
    {%- endif -%}
  {%- else -%}
    {%- set columns = column_names(target_relation) -%}
    {%- set new_rows = touched_rows(target_relation) -%}
    {%- set old_rows = touched_rows_before(target_relation) -%}
    {%- set changed = changed_customers(target_relation) -%}
    {%- call statement('old_rows') -%}
      create or replace table {{ old_rows }} as
      select {{ columns }} from {{ target_relation }} where customer_key in (select customer_key from main.night_touched)
    {%- endcall -%}
    {%- call statement('new_rows') -%}
      create or replace table {{ new_rows }} as
      select {{ columns }} from ({{ sql }}) as tonight where customer_key in (select customer_key from main.night_touched)
    {%- endcall -%}
    {%- call statement('changed') -%}
      {#- Rows that stand as often on both sides are the same; counting both sides in one go takes a fifth of `except all` there and back. -#}
      create or replace table {{ changed }} as
      select distinct customer_key
      from (
          select {{ columns }}
          from (
              select {{ columns }}, 1 as side__ from {{ new_rows }}
              union all
              select {{ columns }}, -1 as side__ from {{ old_rows }}
          ) as both_sides
          group by {{ columns }}
          having sum(side__) <> 0
      ) as unequal
    {%- endcall -%}
    {%- call statement('delete') -%}
      delete from {{ target_relation }} where customer_key in (select customer_key from {{ changed }})
    {%- endcall -%}
    {%- call statement('main') -%}
      insert into {{ target_relation }} ({{ columns }})
      select {{ columns }} from {{ new_rows }} where customer_key in (select customer_key from {{ changed }})
    {%- endcall -%}
  {%- endif -%}
  {{ run_hooks(post_hooks) }}
  {%- do adapter.commit() -%}
  {{ return({'relations': [target_relation]}) }}
{%- endmaterialization %}

{% materialization merged, default -%}
  {%- set target_relation = this.incorporate(type='table') -%}
  {{ run_hooks(pre_hooks) }}
  {%- if not is_at_night() -%}
    {%- do drop_existing(this) -%}
    {%- call statement('main') -%} {{ create_table_as(False, target_relation, sql) }} {%- endcall -%}
  {%- else -%}
    {%- set columns = column_names(target_relation) -%}
    {%- set differing = differing_rows(target_relation) -%}
    {%- set differing_before = differing_rows_before(target_relation) -%}
    {#- With their row numbers, which hold until the commit, so that the table is looked through once. -#}
    {%- call statement('differing_before') -%}
      create or replace table {{ differing_before }} as
      select
          *
          {%- if config.get('kept_until') %},
          {{ says_counts_alike(model.name) }}
          {%- endif %}
      from (
          select
              rows_before.*,
              rows_before.rowid as row_number__
              {%- if config.get('kept_until') %},
              {{ config.get('kept_until') }} as kept_until
              {%- endif %}
          from {{ target_relation }} as rows_before
          inner join main.{{ config.require('replaced_from') }} as changes
              on rows_before.customer_key = changes.customer_key
              and ({{ config.require('replaces') }})
      ) as replaced
    {%- endcall -%}
    {%- if config.get('keeps_late') -%}
      {%- call statement('late') -%}
        create or replace table {{ late_rows_before(target_relation) }} as
        select * from {{ target_relation }} where customer_key in (select customer_key from main.{{ config.require('replaced_from') }} where is_late)
      {%- endcall -%}
    {%- endif -%}
    {%- call statement('differing') -%} create or replace table {{ differing }} as {{ sql }} {%- endcall -%}
    {%- call statement('delete') -%} delete from {{ target_relation }} where rowid in (select row_number__ from {{ differing_before }}) {%- endcall -%}
    {%- call statement('main') -%} insert into {{ target_relation }} ({{ columns }}) select {{ columns }} from {{ differing }} {%- endcall -%}
  {%- endif -%}
  {{ run_hooks(post_hooks) }}
  {%- do adapter.commit() -%}
  {{ return({'relations': [target_relation]}) }}
{%- endmaterialization %}

{% materialization contributions, default -%}
  {%- set target_relation = this.incorporate(type='table') -%}
  {%- set keys = config.require('flow_keys') -%}
  {{ run_hooks(pre_hooks) }}
  {%- if not is_at_night() -%}
    {%- do drop_existing(this) -%}
    {%- for grain in grains_of(sql) -%}
      {%- call statement('main') -%} {{ created_or_inserted(target_relation, sql | replace('__grain__', grain), loop.first) }} {%- endcall -%}
    {%- endfor -%}
    {%- set measures = measure_columns(target_relation, keys) -%}
    {%- call statement('zeros') -%} delete from {{ target_relation }} where not ({{ any_not_zero(measures) }}) {%- endcall -%}
  {%- elif var('backfill') -%}
    {%- set measures = measure_columns(target_relation, keys) -%}
    {%- set columns = (keys + (measures | map(attribute='name') | list)) | join(', ') -%}
    {%- set period = 'period_start' if 'period_start' in keys else 'period_number' -%}
    {%- for grain in grains_of(sql) -%}
      {%- set asked = backfilled(grains() if grain == 'all' else [grain], period) -%}
      {%- call statement('delete') -%}
        delete from {{ target_relation }} where {{ asked }}
      {%- endcall -%}
      {%- call statement('main') -%}
        insert into {{ target_relation }} ({{ columns }})
        select {{ columns }} from ({{ sql | replace('__grain__', grain) }}) as everybody
        where ({{ asked }}) and ({{ any_not_zero(measures) }})
      {%- endcall -%}
    {%- endfor -%}
  {%- else -%}
    {%- set measures = measure_columns(target_relation, keys) -%}
    {%- set columns = keys + (measures | map(attribute='name') | list) -%}
    {%- set difference = temporary('difference') -%}
    {#- Where all grains are made in one go, the sums that the night writes stay for the data tests. -#}
    {%- set is_kept = grains_of(sql) == ['all'] -%}
    {%- set changed = written_sums(target_relation) if is_kept else temporary('changed_sums') -%}
    {%- if config.get('sums_rows') -%}
      {%- call statement('whole') -%} create or replace table {{ whole_customers(target_relation) }} as {{ customers_of_whole_rows() }} {%- endcall -%}
      {%- call statement('customers') -%} create or replace table {{ changed_customers(target_relation) }} as {{ customers_of_sums_of_rows() }} {%- endcall -%}
    {%- else -%}
      {%- call statement('customers') -%} create or replace table {{ changed_customers(target_relation) }} as {{ customers_of_sums() }} {%- endcall -%}
    {%- endif -%}
    {%- for grain in grains_of(sql) -%}
      {%- set tonight = sql | replace('__grain__', grain) -%}
      {%- call statement('difference') -%}
        create or replace temporary table {{ difference }} as
        {{ summed(keys, measures) }} from (
          select {{ columns | join(', ') }} from ({{ tonight }}) as new_contributions
          union all
          select {{ keys | join(', ') }}{% for measure in measures %}, -{{ measure.name }} as {{ measure.name }}{% endfor %}
          from ({{ on_previous_generation(tonight, target_relation) }}) as old_contributions
        ) as contributions
        {{ group_of(keys, measures) }}
      {%- endcall -%}
      {#- What is taken out of the table is added up as it goes, so that it is looked for once. -#}
      {%- call statement('changed') -%}
        create or replace {{ '' if is_kept else 'temporary ' }}table {{ changed }} as
        with gone as (
          delete from {{ target_relation }}
          where ({{ keys | join(', ') }}) in (select ({{ keys | join(', ') }}) from {{ difference }})
          returning {{ columns | join(', ') }}
        )

        {{ summed(keys, measures) }} from (
          select {{ columns | join(', ') }} from {{ difference }}
          union all
          select {{ columns | join(', ') }} from gone
        ) as sums
        {{ group_of(keys, measures) }}
      {%- endcall -%}
      {%- call statement('main') -%}
        insert into {{ target_relation }} ({{ columns | join(', ') }}) select {{ columns | join(', ') }} from {{ changed }}
      {%- endcall -%}
    {%- endfor -%}
    {%- call statement('drop') -%} drop table {{ difference }}{% if not is_kept %}; drop table {{ changed }}{% endif %} {%- endcall -%}
  {%- endif -%}
  {{ run_hooks(post_hooks) }}
  {%- do adapter.commit() -%}
  {{ return({'relations': [target_relation]}) }}
{%- endmaterialization %}

{# The grains that a text is run for, one after the other; a text without this_grain() makes all of them in one go. #}
{% macro grains_of(sql) -%} {{ return(grains() if this_grain() in sql else ['all']) }} {%- endmacro %}

{% macro drop_existing(relation) -%}
  {%- set existing = load_cached_relation(relation) -%}
  {%- if existing is not none -%}
    {%- call statement('drop_existing') -%} drop {{ existing.type }} {{ existing }} {%- endcall -%}
    {%- do adapter.cache_dropped(existing) -%}
  {%- endif -%}
{%- endmacro %}

{% macro created_or_inserted(relation, sql, is_first) -%}
  {%- if is_first -%} {{ create_table_as(False, relation, sql) }}
  {%- else -%}
    {%- set columns = column_names(relation) -%}
    insert into {{ relation }} ({{ columns }}) select {{ columns }} from ({{ sql }}) as one_grain
  {%- endif -%}
{%- endmacro %}

{% macro column_names(relation) -%}
  {{ return(get_columns_in_relation(relation) | map(attribute='name') | join(', ')) }}
{%- endmacro %}

{# A working table of a materialization; models run side by side, so it carries the model's name. #}
{% macro temporary(name) -%} {{ return(this.identifier ~ '__' ~ name) }} {%- endmacro %}

{% macro measure_columns(relation, keys) -%}
  {%- set measures = [] -%}
  {%- for column in get_columns_in_relation(relation) -%}
    {%- if column.name not in keys -%} {%- do measures.append({'name': column.name, 'type': column.dtype}) -%} {%- endif -%}
  {%- endfor -%}
  {{ return(measures) }}
{%- endmacro %}

{% macro any_not_zero(measures) -%}
  {%- for measure in measures -%} {{ measure.name }} <> 0{{ ' or ' if not loop.last }} {%- endfor -%}
{%- endmacro %}

{% macro summed(keys, measures) -%}
  select {{ keys | join(', ') }}
  {%- for measure in measures -%}, cast(sum({{ measure.name }}) as {{ measure.type }}) as {{ measure.name }} {%- endfor -%}
{%- endmacro %}

{% macro group_of(keys, measures) -%}
  group by {{ keys | join(', ') }}
  having {% for measure in measures -%} sum({{ measure.name }}) <> 0{{ ' or ' if not loop.last }} {%- endfor %}
{%- endmacro %}
