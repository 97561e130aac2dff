{# Segment dimensions: which there are, how values become numbers and a customer's values one profile key. #}

{# Dimensions whose values are attributes of customers; those of facts are named here, and int_segment_spans makes them. #}
{% macro customer_dimensions() -%}
  {{ return(var('segments') | reject('in', ['plan', 'first_order_channel'] + (behaviour_values() | list)) | list) }}
{%- endmacro %}

{# Dimensions of behaviour and the numbers of their values. Each known customer has a value at every opening, `(none)` without any facts, which is number 0;
   `(unknown)` is the value of facts without a customer alone. #}
{% macro behaviour_values() -%}
  {{ return({
    'engagement_group': {'(none)': 0, 'inactive': 2, 'low': 3, 'medium': 4, 'high': 5, '(unknown)': 6},
    'nps_class': {'(none)': 0, 'detractor': 2, 'passive': 3, 'promoter': 4, '(unknown)': 5}
  }) }}
{%- endmacro %}

{# Those that this run has. #}
{% macro behaviour_dimensions() -%} {{ return(behaviour_values() | select('in', var('segments')) | list) }} {%- endmacro %}

{# What number 0 stands for in a dimension. #}
{% macro value_of_none(dimension) -%} {{ return('(none)' if dimension in behaviour_values() else '(unknown)') }} {%- endmacro %}

{# A value holds on a day if it is that of figures whose period opens there. Values of behaviour are decided by the days before an opening, attributes also by the day itself. #}
{% macro is_value_of_day(spans, day) -%}
  case
    when {{ spans }}.dimension in ('{{ behaviour_values() | join("', '") }}') then {{ spans }}.start_date < {{ day }} and {{ day }} <= {{ spans }}.end_date
    else {{ spans }}.start_date <= {{ day }} and {{ day }} < {{ spans }}.end_date
  end
{%- endmacro %}

{# Of these, the further columns of the source. #}
{% macro extra_dimensions() -%}
  {{ return(customer_dimensions() | reject('in', ['country', 'acquisition_channel']) | list) }}
{%- endmacro %}

{% macro json_text(column, key) -%}
  {{ return(adapter.dispatch('json_text', 'retention')(column, key)) }}
{%- endmacro %}

{% macro duckdb__json_text(column, key) -%} nullif(json_extract_string({{ column }}, '$."{{ key }}"'), '') {%- endmacro %}

{% macro spark__json_text(column, key) -%} nullif(get_json_object({{ column }}, '$[\'{{ key }}\']'), '') {%- endmacro %}

{# A profile key holds one value number per dimension, in base `profile_base`: key = sum of number × base^position. Values of behaviour are never (other). #}
{% macro profile_base() -%} {{ return([var('max_segment_values'), 5] | max + 2) }} {%- endmacro %}

{# The profile of facts without a customer. #}
{% macro profile_of_nobody() -%}
  {%- set weights = [0] -%}
  {%- for name in behaviour_dimensions() -%}
    {%- do weights.append(behaviour_values()[name]['(unknown)'] * profile_base() ** var('segments').index(name)) -%}
  {%- endfor -%}
  {{ return(weights | sum) }}
{%- endmacro %}

{# The profile intervals that figures of a period use: from_period <= period_start < to_period. #}
{% macro profiles_of_periods(rule='period') -%}
  select customer_key, from_period, to_period, profile_key
  from {{ fact('int_profile_spans') }}
  where rule = 'any' or (rule = '{{ rule }}' and grain = {{ this_grain() }})
{%- endmacro %}

{# The join that gives alias.customer_key its profile in alias.period_start; missing = all unknown, key 0. #}
{% macro join_profile(alias, profiles='profiles') -%}
  left join {{ profiles }}
    on {{ profiles }}.customer_key = {{ alias }}.customer_key
    and {{ profiles }}.from_period <= {{ alias }}.period_start
    and {{ alias }}.period_start < {{ profiles }}.to_period
{%- endmacro %}

{# Profiles of those who have one for life, so that their facts can be added up by day before they are added up by period; -1: it changes; missing: key 0.
   One group-by, by which DuckDB knows that customers are few, and puts them in the hash table of a join with their facts; of a night's rows the facts are as few. #}
{% macro lasting_profiles() -%}
{%- if config.get('sums_rows') and is_at_night() and not var('backfill') %}
  select
      customer_key,
      profile_key
  from {{ fact('int_profile_spans') }}
  where rule = 'any'
  union all
  select distinct
      customer_key,
      cast(-1 as bigint) as profile_key
  from {{ fact('int_profile_spans') }}
  where rule = 'period'
{%- else %}
  select
      customer_key,
      max(case when rule = 'any' then profile_key else -1 end) as profile_key
  from {{ fact('int_profile_spans') }}
  where rule in ('any', 'period')
  group by customer_key
{%- endif %}
{%- endmacro %}

{# The profile intervals of the others, in every grain. #}
{% macro changing_profiles() -%}
  select grain, customer_key, from_period, to_period, profile_key
  from {{ fact('int_profile_spans') }}
  where rule = 'period'
{%- endmacro %}

{# The number of a dimension's value in a profile key. #}
{% macro value_number(profile_key, position) -%}
  cast({{ int_div(profile_key, profile_base() ** position) }} % {{ profile_base() }} as integer)
{%- endmacro %}

{# A profile key of the values alone in which it is another than a second key: 0 in the other dimensions. #}
{% macro differing_values(profile_key, other) -%}
  cast(
{%- for _ in var('segments') %}
        case when {{ value_number(profile_key, loop.index0) }} <> {{ value_number(other, loop.index0) }} then {{ value_number(profile_key, loop.index0) }} * cast({{ profile_base() ** loop.index0 }} as bigint) else 0 end +
{%- endfor %} 0 as bigint)
{%- endmacro %}

{# The columns number_0, number_1, … of a profile key, one per dimension. Made per customer and joined they are cheaper than made per fact. #}
{% macro numbers_of_profile(profile_key) -%}
{%- for _ in var('segments') -%}
  , {{ value_number(profile_key, loop.index0) }} as number_{{ loop.index0 }}
{%- endfor -%}
{%- endmacro %}

{# The same columns of a relation that facts are left joined with: all unknown for who is not in it. #}
{% macro joined_numbers(relation) -%}
{%- for _ in var('segments') -%}
  , coalesce({{ relation }}.number_{{ loop.index0 }}, 0) as number_{{ loop.index0 }}
{%- endfor -%}
{%- endmacro %}

{# What a dimension's value adds to a profile key. #}
{% macro value_weight(dimension, number) -%}
  cast({{ number }} as bigint) * case {{ dimension }}
            when 'all' then cast(0 as bigint)
{%- for name in var('segments') %}
            when '{{ name }}' then cast({{ profile_base() ** loop.index0 }} as bigint)
{%- endfor %}
        end
{%- endmacro %}
