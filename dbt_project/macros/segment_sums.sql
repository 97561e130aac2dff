{# Sums by segment in one pass over rows with a profile_key, segments as numbers: names come last, when there are few rows left. #}

{# Sums per `keys` and segment of `rows`; `measures` are column → type. For keys so fine that sums per profile would be hardly fewer than the rows.
   `counted`: rows have no measures, the one is their number. `numbered`: they have the columns of numbers_of_profile instead of a profile_key.
   Each row has one value of a dimension, so everybody's sums are those of the values of the last one. #}
{% macro sums_by_segment(rows, keys, measures, counted=false, numbered=false) -%}
  {%- set dimensions = var('segments') -%}
  with sums_of_values as (
      select
{%- for key in keys %}
          {{ key }},
{%- endfor %}
{%- if dimensions %}
          case
{%- for dimension in dimensions %}
              when number_{{ loop.index0 }} is not null then {{ loop.index * profile_base() }} + number_{{ loop.index0 }}
{%- endfor %}
          end as segment_number,
{%- else %}
          0 as segment_number,
{%- endif %}
{%- for measure, type in measures.items() %}
          cast({{ 'count(*)' if counted else 'sum(' ~ measure ~ ')' }} as {{ type }}) as {{ measure }}{{ ',' if not loop.last }}
{%- endfor %}
{%- if numbered %}
      from {{ rows }}{{ computed_once() }}
{%- else %}
      from (
          select
              {{ keys | join(', ') }}
              {{- numbers_of_profile('profile_key') }}
{%- if not counted %}
{%- for measure in measures %},
              {{ measure }}
{%- endfor %}
{%- endif %}
          from {{ rows }}
      ) as numbered{{ computed_once() }}
{%- endif %}
      group by grouping sets (
{%- for dimension in dimensions %}
          ({{ keys | join(', ') }}, number_{{ loop.index0 }}){{ ',' if not loop.last }}
{%- else %}
          ({{ keys | join(', ') }})
{%- endfor %}
      )
  )

  select {{ keys | join(', ') }}, segment_number, {{ measures | join(', ') }}
  from sums_of_values
{%- if dimensions %}
  union all
  select
{%- for key in keys %}
      {{ key }},
{%- endfor %}
      0 as segment_number,
{%- for measure, type in measures.items() %}
      cast(sum({{ measure }}) as {{ type }}) as {{ measure }}{{ ',' if not loop.last }}
{%- endfor %}
  from sums_of_values
  where segment_number >= {{ (dimensions | length) * profile_base() }}
  group by {{ keys | join(', ') }}
{%- endif %}
{%- endmacro %}

{# What the numbers of sums_by_segment stand for: segment_number, segment_dimension, segment_value. Value 0 is unknown, 1 the rare ones. #}
{% macro segments_by_number() -%}
  select
      0 as segment_number,
      'all' as segment_dimension,
      'all' as segment_value
{%- for dimension in var('segments') %}
  union all
  select
      {{ loop.index * profile_base() }} as segment_number,
      '{{ dimension }}' as segment_dimension,
      '{{ value_of_none(dimension) }}' as segment_value
  union all
  select distinct
      {{ loop.index * profile_base() }} + value_number as segment_number,
      dimension as segment_dimension,
      shown_value as segment_value
  from {{ ref('int_segment_values') }}
  where dimension = '{{ dimension }}'
      and value_number > 0
{%- endfor %}
{%- endmacro %}

{# Sums per `keys` and profile of `rows`, for keys so coarse that they are fewer than the rows; sums_by_segment goes on from them. #}
{% macro sums_by_profile(rows, keys, measures) -%}
  select
{%- for key in keys %}
      {{ key }},
{%- endfor %}
      profile_key,
{%- for measure, type in measures.items() %}
      cast(sum({{ measure }}) as {{ type }}) as {{ measure }}{{ ',' if not loop.last }}
{%- endfor %}
  from {{ rows }}
  group by
{%- for key in keys %}
      {{ key }},
{%- endfor %}
      profile_key
{%- endmacro %}
