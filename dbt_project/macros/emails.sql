{# E-mail: which units count (docs/kpis.md). #}

{# A row of int_email_units that has not bounced before as_of. #}
{% macro is_not_bounced(units) -%}
  ({{ units }}.bounced_date is null or {{ units }}.bounced_date >= {{ as_of() }})
{%- endmacro %}
