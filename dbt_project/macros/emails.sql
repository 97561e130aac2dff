{# E-mail: which units count (docs/kpis.md). #}

{# A row of int_email_units that has not bounced before as_of. #}
{% macro is_not_bounced(units) -%}
  ({{ units }}.bounced_date is null or {{ units }}.bounced_date >= {{ as_of() }})
{%- endmacro %}

{# What units add to the sums of a period, see sums_of_parts. Expects the CTE units. #}
{% macro email_parts() -%}
  {{ return({'counted': {
    'facts': 'units', 'day': 'unit_date', 'condition': is_not_bounced('units'),
    'measures': {
      'delivered': 'count(*)',
      'opened': count_where('units.opened_date < ' ~ as_of()),
      'opened_raw': count_where('units.opened_raw_date < ' ~ as_of()),
      'clicked': count_where('units.clicked_date < ' ~ as_of()),
      'opened_or_clicked': count_where('least(units.opened_date, units.clicked_date) < ' ~ as_of())
    },
    'counts': {
      'emails_delivered': 'delivered',
      'emails_opened': 'opened',
      'emails_opened_raw': 'opened_raw',
      'emails_clicked': 'clicked',
      'emails_opened_or_clicked': 'opened_or_clicked'
    }
  }}) }}
{%- endmacro %}
