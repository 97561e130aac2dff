{{ config(materialized='contributions', flow_keys=['grain', 'period_start', 'basis', 'segment_dimension', 'segment_value']) }}
with answers as (
    select * from {{ fact('int_survey_answers') }}
),

known as (
    select
        customer_key,
        first_answer_date as first_date
    from {{ fact('int_first_facts') }}
    where first_answer_date is not null
        and customer_key <> 0
),

{{ inputs_of_sums() }},

{{ family_flows(survey_parts(), 'known') }}
