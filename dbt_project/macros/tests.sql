{# The generic data test of the project: all rules of a model in one test, since a test costs more than looking at the rows.
   unique:   these columns together; none of them is null, either
   not_null: further columns that are never null
   accepted: {column: values}; null is not one of them
   by_customer: the model is materialized so; at night only rows of touched customers changed, and only they are looked at.
   written:  the model is of contributions and makes all grains in one go; at night only sums that were written are looked at.
   One row per broken rule and key. `retention check` looks at everything. #}
{% test rules(model, unique=[], not_null=[], accepted={}, by_customer=false, written=false) %}
{%- set conditions = [] -%}
{%- for column in unique + not_null -%}
  {%- do conditions.append([column ~ ' is null', column ~ ' is null']) -%}
{%- endfor -%}
{%- for column, values in accepted.items() -%}
  {%- do conditions.append([column ~ ' is not one of ' ~ values | join(', '), 'coalesce(' ~ column ~ " not in ('" ~ values | join("', '") ~ "'), true)"]) -%}
{%- endfor -%}
{%- set shown = (unique or (not_null + (accepted | list))) | join(', ') -%}
{%- set rows = model -%}
{%- if by_customer and var('night') -%} {%- set rows = rows_of_tonight(model) -%} {%- endif -%}
{%- set values = rows -%}
{%- if written and var('night') and not var('backfill') and model.identifier not in var('new_models') -%}
  {%- set rows = sums_of_tonight(model, unique) -%}
  {%- set values = written_sums(model) -%}
{%- endif -%}
select
    case
{%- for sentence, broken in conditions %}
        when {{ broken }} then '{{ sentence }}'
{%- endfor %}
    end as broken_rule,
    {{ shown }},
    cast(1 as bigint) as number_of_rows
from {{ values }} as tested
where {% for sentence, broken in conditions %}{{ broken }}{{ ' or ' if not loop.last }}{% endfor %}
{%- if unique %}
{#- Groups of one number are found in half the time of groups of the columns; which rows share a key is asked where two share the number. #}
union all
select
    'several rows of a key' as broken_rule,
    {{ shown }},
    count(*) as number_of_rows
from {{ rows }} as tested
where {{ row_hash(unique) }} in (
        select {{ row_hash(unique) }} from {{ rows }} as hashed group by {{ row_hash(unique) }} having count(*) > 1
    )
group by {{ shown }}
having count(*) > 1
{%- endif %}
{% endtest %}

{% macro rows_of_tonight(model) -%}
  (select * from {{ model }} where customer_key in (select customer_key from main.night_touched))
{%- endmacro %}

{# A key that stands there twice has a row that the night did not write. #}
{% macro sums_of_tonight(model, keys) -%}
  (select * from {{ model }} where {{ row_hash(keys) }} in (select {{ row_hash(keys) }} from {{ written_sums(model) }}))
{%- endmacro %}

{# A number for the values of some columns: equal values have equal numbers. #}
{% macro row_hash(columns) -%} {{ return(adapter.dispatch('row_hash')(columns)) }} {%- endmacro %}

{% macro duckdb__row_hash(columns) -%} hash({{ columns | join(', ') }}) {%- endmacro %}

{% macro spark__row_hash(columns) -%} xxhash64({{ columns | join(', ') }}) {%- endmacro %}
