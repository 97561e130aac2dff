{{ config(materialized='contributions', flow_keys=['grain', 'period_start', 'basis', 'segment_dimension', 'segment_value']) }}
{%- set is_last = is_last_nps_answer('answers') %}
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

{{ family_inputs() }},

{{ sums_of_facts('answered', 'answers', 'responded_date', {
    'responses': 'count(*)',
    'nps_responses': count_where(is_last),
    'promoters': count_where(is_last ~ ' and answers.score >= 9'),
    'detractors': count_where(is_last ~ ' and answers.score <= 6'),
    'csat_responses': count_where(is_csat_answer('answers')),
    'satisfied': count_where(is_csat_answer('answers', satisfied=true))
}) }},

{{ family_flows({'answered': {
    'survey_responses': 'responses',
    'nps_responses': 'nps_responses',
    'nps_promoters': 'promoters',
    'nps_detractors': 'detractors',
    'csat_responses': 'csat_responses',
    'csat_satisfied': 'satisfied'
}}, 'known') }}
