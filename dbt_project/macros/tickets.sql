{# Tickets: what is counted in hours (docs/kpis.md). #}

{# A row of int_tickets that was resolved at most 48 hours after it was opened, as far as it has happened before as_of. #}
{% macro is_resolved_in_48h(tickets) -%}
  {{ tickets }}.resolved_date < {{ as_of() }} and {{ tickets }}.resolution_microseconds <= 48 * 3600000000
{%- endmacro %}

{# The query of a histogram (contributions, with basis): tickets per time that went by from their opening to `day`, on which they count. #}
{% macro elapsed_histogram(day, elapsed) -%}
with tickets as (
    select
        customer_key,
        {{ day }} as counted_date,
        {{ elapsed }} as elapsed
    from {{ fact('int_tickets') }}
    where {{ day }} is not null
),

{{ inputs_of_sums(calendar_of_shown_periods()) }},

{{ sums_of_facts('sums', 'tickets', 'counted_date', {'tickets': 'count(*)'}, keys=['elapsed']) }},

flows as (
    {{ by_segment('sums', ['grain', 'period_start', 'elapsed'], ['tickets']) }}
)

select
    cast(grain as string) as grain,
    period_start,
    cast('all' as string) as basis,
    segment_dimension,
    segment_value,
    elapsed as {{ elapsed }},
    tickets
from flows
{%- endmacro %}

{# What tickets add to the sums of a period, see sums_of_parts. Expects the CTE tickets. #}
{% macro ticket_parts() -%}
  {%- set parts = {
    'opened': {
      'facts': 'tickets', 'day': 'opened_date', 'measures': {'opened': 'count(*)', 'resolved_48h': count_where(is_resolved_in_48h('tickets'))},
      'counts': {'tickets_opened': 'opened', 'tickets_resolved_48h': 'resolved_48h'}
    },
    'replied': {'facts': 'tickets', 'day': 'first_reply_date', 'measures': {'replied': 'count(*)'}, 'counts': {'first_replies': 'replied'}},
    'resolved': {'facts': 'tickets', 'day': 'resolved_date', 'measures': {'resolved': 'count(*)'}, 'counts': {'resolutions': 'resolved'}}
  } -%}
  {{ return(parts) }}
{%- endmacro %}
