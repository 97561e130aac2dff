{# MRR of a phase: the one division, in whole millionths, half away from zero (docs/kpis.md). #}

{# Months in a billing interval as a fraction of whole numbers: MRR = price × multiplier ÷ divisor. #}
{% macro interval_multiplier(billing_interval) -%}
  case {{ billing_interval }} when 'week' then 52 when 'day' then 365 else 1 end
{%- endmacro %}

{% macro interval_divisor(billing_interval, interval_count) -%}
  (case {{ billing_interval }} when 'quarter' then 3 when 'month' then 1 else 12 end * {{ interval_count }})
{%- endmacro %}

{% macro mrr_amount(amount, quantity, discount, billing_interval, interval_count) -%}
  {%- set price -%}
    ({{ millionths(amount) }} * {{ quantity }} - {{ millionths(discount) }})
  {%- endset -%}
  {%- set doubled = '2 * abs(' ~ price ~ ') * ' ~ interval_multiplier(billing_interval) ~ ' + ' ~ interval_divisor(billing_interval, interval_count) -%}
  cast(
    cast(
      case when {{ price }} < 0 then -1 else 1 end * {{ whole_div(doubled, '2 * ' ~ interval_divisor(billing_interval, interval_count)) }} as decimal(24, 0)
    ) * cast(0.000001 as decimal(7, 6)) as decimal(24, 6)
  )
{%- endmacro %}

{% macro millionths(amount) -%}
  {{ return(adapter.dispatch('millionths', 'retention')(amount)) }}
{%- endmacro %}

{% macro duckdb__millionths(amount) -%} cast(cast({{ amount }} as decimal(38, 6)) * 1000000 as hugeint) {%- endmacro %}

{% macro spark__millionths(amount) -%} cast({{ amount }} * 1000000 as decimal(30, 0)) {%- endmacro %}

{# int_div of whole numbers that are greater than a bigint. #}
{% macro whole_div(dividend, divisor) -%} {{ return(adapter.dispatch('whole_div', 'retention')(dividend, divisor)) }} {%- endmacro %}

{% macro duckdb__whole_div(dividend, divisor) -%} {{ int_div(dividend, divisor) }} {%- endmacro %}

{% macro spark__whole_div(dividend, divisor) -%}
  cast((({{ dividend }}) - ({{ dividend }}) % ({{ divisor }})) / ({{ divisor }}) as decimal(38, 0))
{%- endmacro %}

{# The class of churn of a reason: null for none and for one that the setting does not name. #}
{% macro churn_class(reason) -%}
{%- if var('churn_reason_classes') %}
  case {{ reason }}
{%- for name, class in var('churn_reason_classes').items() %}
    when '{{ name | replace("'", "''") }}' then '{{ class if class in ['involuntary', 'voluntary'] else 'unknown' }}'
{%- endfor %}
    else cast(null as string)
  end
{%- else %}
  cast(null as string)
{%- endif %}
{%- endmacro %}

{# The class of a lost customer at a close, from the columns of int_lost_classes. #}
{% macro lost_class(lost, close_date) -%}
  case
    when {{ lost }}.is_past_due then 'involuntary'
    when {{ lost }}.own_class is not null then {{ lost }}.own_class
    when {{ lost }}.next_phase_start_date < {{ close_date }} and {{ lost }}.next_class is not null then {{ lost }}.next_class
    else 'unknown'
  end
{%- endmacro %}

{# The reason that decided the class; where none has a class the first one that is given. #}
{% macro lost_reason(lost, close_date) -%}
  case
    when {{ lost }}.is_past_due then 'past_due'
    when {{ lost }}.own_class is null and {{ lost }}.next_phase_start_date < {{ close_date }}
        and ({{ lost }}.next_class is not null or {{ lost }}.end_reason is null)
      then coalesce({{ lost }}.next_end_reason, '(none)')
    else coalesce({{ lost }}.end_reason, '(none)')
  end
{%- endmacro %}
