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

calendar as (
    select * from {{ ref('int_calendar') }}
    where grain = {{ this_grain() }}
        and {{ after_history_start() }}
),

profiles as (
    {{ profiles_of_periods() }}
),

profile_values as (
    select * from {{ ref('int_profile_values') }}
),

counted as (
    select
        tickets.customer_key,
        calendar.period_start,
        tickets.elapsed
    from tickets
    inner join calendar
        on tickets.counted_date = calendar.calendar_date
),

sums as (
    select
        counted.period_start,
        coalesce(profiles.profile_key, 0) as profile_key,
        counted.elapsed,
        count(*) as tickets
    from counted
    {{ join_profile('counted') }}
    group by
        counted.period_start,
        coalesce(profiles.profile_key, 0),
        counted.elapsed
),

flows as (
    {{ by_segment('sums', ['period_start', 'elapsed'], ['tickets']) }}
)

select
    cast({{ this_grain() }} as string) as grain,
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
