{# Payments: what a failed invoice needs to be recovered (docs/kpis.md). #}

{# A row of int_invoices whose first attempt failed and that was paid within the days, as far as it has happened before as_of. #}
{% macro is_recovered(invoices) -%}
  {{ invoices }}.is_failed
          and {{ invoices }}.succeeded_date < {{ as_of() }}
          and {{ invoices }}.succeeded_date <= {{ add_days(invoices ~ '.attempted_date', var('payment_recovery_days')) }}
{%- endmacro %}
