{# Terms of subscriptions: how long, and when they end (docs/kpis.md). #}

{# Whether an interval is at least renewal_min_term_months long, by the months that MRR counts it as. #}
{% macro is_renewed_by_term(billing_interval, interval_count) -%}
  ({{ interval_divisor(billing_interval, interval_count) }} >= {{ var('renewal_min_term_months') }} * {{ interval_multiplier(billing_interval) }})
{%- endmacro %}

{# Length of a term in months, or in days for intervals of weeks and days (null for the other kind). #}
{% macro term_months(billing_interval, interval_count) -%}
  case {{ billing_interval }}
    when 'year' then 12 * {{ interval_count }} when 'quarter' then 3 * {{ interval_count }} when 'month' then {{ interval_count }}
  end
{%- endmacro %}

{% macro term_days(billing_interval, interval_count) -%}
  case {{ billing_interval }} when 'week' then 7 * {{ interval_count }} when 'day' then {{ interval_count }} end
{%- endmacro %}

{# The anchor moved by a number of terms: whole months, clamped to the month's end, or days. #}
{% macro moved_by_terms(anchor, number, months, days) -%}
  case
    when {{ months }} is not null then {{ add_months(anchor, 'cast(' ~ number ~ ' * coalesce(' ~ months ~ ', 0) as integer)') }}
    else {{ add_days(anchor, 'cast(' ~ number ~ ' * coalesce(' ~ days ~ ', 0) as integer)') }}
  end
{%- endmacro %}

{# The days after a term's end on which its renewal may come: at least one. #}
{% macro renewal_days() -%} {{ return([var('renewal_grace_days'), 1] | max) }} {%- endmacro %}

{# The number of the last term that ends by a day, by calendar months alone: one more or less where a month's end is clamped. #}
{% macro term_number(anchor, day, months, days) -%}
  cast(case
    when {{ months }} is not null then floor(cast({{ months_between(anchor, day) }} as double) / {{ months }})
    else floor(cast({{ days_between(anchor, day) }} as double) / {{ days }})
  end as integer)
{%- endmacro %}
