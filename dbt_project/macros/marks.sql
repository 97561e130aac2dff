{# Marks: the days on which figures change although no row arrives. Named here, once: (fact, customer, day). A customer with a mark in [previous as_of, as_of) is due.
   A term is resolved at the close of the eve of its resolved_date (resolved_date <= as_of), so the eve is the mark.
   Read from the previous generation's facts: what changes a fact touches its customer anyway. #}
{% macro marks() -%}
{{ return([
    ['int_purchase_days', 'purchase_date'],
    ['int_purchase_days', add_days('purchase_date', 365)],
    ['int_refunds', 'refunded_date'],
    ['int_active_spans', 'start_date'],
    ['int_active_spans', 'end_date'],
    ['int_active_spans', add_days('end_date', -1)],
    ['int_counted_phases', 'start_date'],
    ['int_mrr_changes', 'change_date'],
    ['int_mrr_changes', twelve_months_after('change_date')],
    ['int_terms', 'term_date'],
    ['int_terms', add_days('resolved_date', -1)],
    ['int_cancel_requests', 'request_date'],
    ['int_lost_classes', 'next_phase_start_date'],
    ['int_segment_spans', 'start_date'],
    ['int_segment_spans', twelve_months_after('start_date')],
    ['int_segment_spans', period_end('week', period_start('week', 'start_date'))],
    ['int_segment_spans', period_end('month', period_start('month', 'start_date'))],
    ['int_segment_spans', period_end('quarter', period_start('quarter', 'start_date'))],
    ['int_segment_spans', period_end('year', period_start('year', 'start_date'))],
    ['int_cohort_members', 'cohort_date']
]) }}
{%- endmacro %}
