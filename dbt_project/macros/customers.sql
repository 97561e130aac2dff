{# Customers as of as_of: what a profile, a list of customers at risk and one of things to do look at (docs/kpis.md). Read from all facts, not from those of
   touched customers: these tables are made anew in every run. #}

{# The last purchase day before a boundary, with what the customer had bought by then: customer_key, last_date, purchase_days, net_revenue. #}
{% macro last_purchase_days(boundary) -%}
  select
      customer_key,
      purchase_date as last_date,
      day_number as purchase_days,
      revenue_to_date as net_revenue
  from {{ ref_if_built('int_purchase_days') }}
  where purchase_date < {{ boundary }}
      and (next_date is null or next_date >= {{ boundary }})
{%- endmacro %}

{# MRR of the customers who have some, in the reporting currency at the rates of the eve of as_of: customer_key, mrr. #}
{% macro mrr_at_as_of() -%}
  select
      changes.customer_key,
      cast(sum({{ mrr_to_reporting('changes.mrr_after', 'changes.currency', 'fx_rates.rate') }}) as decimal(38, 6)) as mrr
  from {{ ref_if_built('int_mrr_changes') }} as changes
  left join {{ ref('int_fx_rates') }} as fx_rates
      on changes.currency = fx_rates.currency
      and fx_rates.rate_date = {{ add_days(as_of(), -1) }}
  where changes.change_date < {{ as_of() }}
      and changes.next_change_date >= {{ as_of() }}
      and changes.mrr_after <> 0
  group by changes.customer_key
{%- endmacro %}

{# A span or a counted phase that holds at as_of. #}
{% macro holds_at_as_of() -%}
  start_date < {{ as_of() }} and end_date >= {{ as_of() }}
{%- endmacro %}

{# The first day of the calendar month that holds the eve of as_of: where RFM is reckoned, and whose segment values a profile shows. #}
{% macro profile_month() -%} {{ truncated('month', add_days(as_of(), -1)) }} {%- endmacro %}

{# The cut-points of RFM, by the column of a profile that they are of. #}
{% macro rfm_measures() -%} {{ return(['recency_days', 'purchase_days', 'net_revenue']) }} {%- endmacro %}

{# How many of a measure's cut-points lie strictly below its value; null without cut-points. Names `cut_points`, one row of <measure>_1 to <measure>_4. #}
{% macro cuts_below(measure) -%}
  ({%- for number in range(1, 5) -%}
    case when cut_points.{{ measure }}_{{ number }} < last_days.{{ measure }} then 1 when cut_points.{{ measure }}_{{ number }} is not null then 0 end
    {{- ' + ' if not loop.last }}
  {%- endfor -%})
{%- endmacro %}

{# CTE round_10: alias_key and the customer_key at the end of its chain. Expects the links as CTE round_0. #}
{% macro ends_of_chains() -%} {{ return(adapter.dispatch('ends_of_chains', 'retention')()) }} {%- endmacro %}

{# Pointer doubling: after k rounds a chain of 2^k aliases is resolved. #}
{% macro duckdb__ends_of_chains() -%}
{% for round in range(1, 11) %}
round_{{ round }} as (
    select
        direct.alias_key,
        coalesce(onward.customer_key, direct.customer_key) as customer_key
    from round_{{ round - 1 }} as direct
    left join round_{{ round - 1 }} as onward
        on direct.customer_key = onward.alias_key
){% if not loop.last %},{% endif %}
{% endfor %}
{%- endmacro %}

{# Spark reads a query anew wherever it is named, which would be 2^10 times. It refuses chains of more than its spark.sql.cteRecursionLevelLimit. #}
{% macro spark__ends_of_chains() %}
round_10 as (
    with recursive chains (alias_key, customer_key) as (
        select
            alias_key,
            customer_key
        from round_0
        union all
        select
            chains.alias_key,
            onward.customer_key
        from chains
        inner join round_0 as onward
            on chains.customer_key = onward.alias_key
    )

    select
        chains.alias_key,
        chains.customer_key
    from chains
    left join round_0 as onward
        on chains.customer_key = onward.alias_key
    where onward.alias_key is null
)
{%- endmacro %}
