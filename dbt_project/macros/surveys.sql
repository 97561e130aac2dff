{# Surveys: which answers count for what (docs/kpis.md). #}

{# An answer of kind nps that is its customer's last one in the period; those of nobody each count. Names `calendar`, see sums_of_facts. #}
{% macro is_last_nps_answer(answers) -%}
  {{ answers }}.kind = 'nps' and {{ or_forever(answers ~ '.next_date') }} >= calendar.close_date
{%- endmacro %}

{# An answer of kind csat on one of the scales of the setting csat_positive, and if `satisfied` with one of its scores. #}
{% macro is_csat_answer(answers, satisfied=false) -%}
  {%- set scales = [] -%}
  {%- for scale, scores in var('csat_positive').items() if scores or not satisfied -%}
    {%- do scales.append(answers ~ '.scale_max = ' ~ scale ~ (' and ' ~ answers ~ '.score in (' ~ scores | join(', ') ~ ')' if satisfied else '')) -%}
  {%- endfor -%}
  {{ answers }}.kind = 'csat' and ({{ scales | join(' or ') or 'false' }})
{%- endmacro %}

{# What answers add to the sums of a period, see sums_of_parts. Expects the CTE answers. #}
{% macro survey_parts() -%}
  {%- set is_last = is_last_nps_answer('answers') -%}
  {{ return({'answered': {
    'facts': 'answers', 'day': 'responded_date',
    'measures': {
      'responses': 'count(*)',
      'nps_responses': count_where(is_last),
      'promoters': count_where(is_last ~ ' and answers.score >= 9'),
      'detractors': count_where(is_last ~ ' and answers.score <= 6'),
      'csat_responses': count_where(is_csat_answer('answers')),
      'satisfied': count_where(is_csat_answer('answers', satisfied=true))
    },
    'counts': {
      'survey_responses': 'responses',
      'nps_responses': 'nps_responses',
      'nps_promoters': 'promoters',
      'nps_detractors': 'detractors',
      'csat_responses': 'csat_responses',
      'csat_satisfied': 'satisfied'
    }
  }}) }}
{%- endmacro %}
