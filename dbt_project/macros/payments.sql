{# Payments: what a failed invoice needs to be recovered (docs/kpis.md). #}

{# A row of int_invoices whose first attempt failed and that was paid within the days, as far as it has happened before as_of. #}
{% macro is_recovered(invoices) -%}
  {{ invoices }}.is_failed
          and {{ invoices }}.succeeded_date < {{ as_of() }}
          and {{ invoices }}.succeeded_date <= {{ add_days(invoices ~ '.attempted_date', var('payment_recovery_days')) }}
{%- endmacro %}

{# What invoices add to the sums of a period, see sums_of_parts. Expects the CTE invoices. #}
{% macro payment_parts() -%}
  {{ return({'invoiced': {
    'facts': 'invoices', 'day': 'attempted_date',
    'measures': {'attempted': 'count(*)', 'failed': count_where('invoices.is_failed'), 'recovered': count_where(is_recovered('invoices'))},
    'counts': {'invoices_attempted': 'attempted', 'invoices_failed': 'failed', 'invoices_recovered': 'recovered'}
  }}) }}
{%- endmacro %}
