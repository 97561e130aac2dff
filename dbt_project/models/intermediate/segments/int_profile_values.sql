{%- set dimensions = var('segments') -%}
with profile_spans as (
    select * from {{ ref('int_profile_spans') }}
),

segment_values as (
    select distinct
        dimension,
        value_number,
        shown_value
    from {{ ref('int_segment_values') }}
),

cohort_members as (
    select * from {{ ref_if_built('int_cohort_members') }}
),

{# Cohorts look at a day, periods at a period: on its first day a customer may have a profile that no period shows. #}
profiles as (
    select profile_key from profile_spans
    union
    select profile_key from cohort_members
    union
    select cast(0 as bigint) as profile_key
),

numbers_of_values as (
{%- for dimension in dimensions %}
    select
        profile_key,
        '{{ dimension }}' as segment_dimension,
        {{ value_number('profile_key', loop.index0) }} as value_number
    from profiles
    union all
{%- endfor %}
    select
        profile_key,
        'all' as segment_dimension,
        -1 as value_number
    from profiles
)

select
    numbers_of_values.profile_key,
    numbers_of_values.segment_dimension,
    case
        when numbers_of_values.value_number = -1 then 'all'
{%- for dimension in behaviour_dimensions() %}
        when numbers_of_values.value_number = 0 and numbers_of_values.segment_dimension = '{{ dimension }}' then '{{ value_of_none(dimension) }}'
{%- endfor %}
        when numbers_of_values.value_number = 0 then '(unknown)'
        else segment_values.shown_value
    end as segment_value
from numbers_of_values
left join segment_values
    on numbers_of_values.segment_dimension = segment_values.dimension
    and numbers_of_values.value_number = segment_values.value_number
