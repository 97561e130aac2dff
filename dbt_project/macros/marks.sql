{# Marks: the days on which figures change although no row arrives. A customer with a mark in [previous as_of, as_of) is due.
   Each is (fact, condition): named here, once, every date of a fact that sums look at, and read from the previous generation's facts, as what changes a fact touches its customer anyway. #}
{% macro marks() -%}
{%- set conditions = [
    ['int_purchase_days', falls_due('purchase_date')],
    ['int_purchase_days', falls_due('purchase_date', days_later=365)],
    ['int_purchase_days', falls_due('loyal_until')],
    ['int_refunds', falls_due('refunded_date')],
    ['int_active_spans', falls_due('start_date')],
    ['int_active_spans', falls_due('end_date')],
    ['int_active_spans', falls_due('end_date', days_later=-1)],
    ['int_counted_phases', falls_due('start_date')],
    ['int_counted_phases', falls_due('end_date')],
    ['int_mrr_changes', falls_due('change_date')],
    ['int_mrr_changes', falls_due(twelve_months_after('change_date'))],
    ['int_terms', falls_due('term_date')],
    ['int_cancel_requests', falls_due('request_date')],
    ['int_lost_classes', falls_due('next_phase_start_date')],
    ['int_cohort_members', falls_due('cohort_date')],
    ['int_segment_spans', falls_due('start_date')]
] -%}
{#- A term is resolved at the close of the eve of its resolved_date (resolved_date <= as_of), so the eve is the mark. -#}
{%- do conditions.append(['int_terms', falls_due('resolved_date', days_later=-1)]) -%}
{#- A later value is used from the opening after its day, and in 12-month figures 12 months later; a first value from its day on. -#}
{%- do conditions.append(['int_segment_spans', 'not is_first_value and ' ~ falls_due(twelve_months_after('start_date'))]) -%}
{%- for grain in grains() -%}
    {%- do conditions.append(['int_segment_spans', 'not is_first_value and ' ~ falls_due(period_end(grain, period_start(grain, 'start_date')))]) -%}
{%- endfor -%}
{#- A day of activity leaves the windows that are looked at when a period closes. -#}
{%- for days in [0] + (active_windows().values() | list) -%}
    {%- do conditions.append(['int_active_days', falls_due('active_date', days_later=days)]) -%}
{%- endfor -%}
{%- do conditions.append(['int_session_lengths', falls_due('active_date')]) -%}
{#- Facts of further datasets: the days that sums look at. -#}
{%- set further = {
    'int_invoices': ['attempted_date', 'succeeded_date'],
    'int_survey_answers': ['responded_date'],
    'int_email_units': ['unit_date', 'opened_date', 'opened_raw_date', 'clicked_date', 'bounced_date'],
    'int_tickets': ['opened_date', 'first_reply_date', 'resolved_date']
} -%}
{%- for fact, days in further.items() -%}
    {%- for day in days -%}{%- do conditions.append([fact, falls_due(day)]) -%}{%- endfor -%}
{%- endfor -%}
{%- set built = [] -%}
{%- for mark in conditions if is_built(mark[0]) -%} {%- do built.append(mark) -%} {%- endfor -%}
{{ return(built) }}
{%- endmacro %}

{# The condition that a row of a fact is due. #}
{% macro is_due(fact) -%}
  {%- for mark in marks() | selectattr(0, 'equalto', fact) -%} ({{ mark[1] }}){{ ' or ' if not loop.last }} {%- endfor -%}
{%- endmacro %}

{# The day, so many days later, lies in [previous as_of, as_of). Plain columns are compared with constants, so that storage can skip what is far away. #}
{% macro falls_due(day, days_later=0) -%}
  {%- if var('night') -%}
  {%- set shift = modules.datetime.timedelta(days=days_later) -%}
  {%- set from_day = modules.datetime.date.fromisoformat(var('previous_as_of')) - shift -%}
  {%- set to_day = modules.datetime.date.fromisoformat(var('as_of')) - shift -%}
  {{ day }} >= cast('{{ from_day }}' as date) and {{ day }} < cast('{{ to_day }}' as date)
  {%- else -%} false
  {%- endif -%}
{%- endmacro %}
