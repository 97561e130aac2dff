{# CTE: the MRR of customers at a moment, at the rates of its eve or of `rated_at`'s. #}
{% macro mrr_at(name, moment, rated_at) -%}
  {{ name }} as (
      select
          changes.customer_key,
          cells.grain,
          cells.period_start,
          sum({{ mrr_to_reporting('changes.mrr_after', 'changes.currency', 'rates.rate') }}) as mrr,
          sum({{ mrr_to_reporting('changes.list_after', 'changes.currency', 'rates.rate') }}) as list_mrr
      from {{ fact('int_mrr_changes') }} as changes
      inner join cells
          on changes.change_date < {{ moment }}
          and {{ moment }} <= changes.next_change_date
      left join {{ ref('int_fx_rates') }} as rates
          on changes.currency = rates.currency
          and rates.rate_date = {{ add_days(rated_at, -1) }}
      where changes.mrr_after > 0
      group by
          changes.customer_key,
          cells.grain,
          cells.period_start
  )
{%- endmacro %}

{% macro mrr_members() -%}
  {%- set columns = mrr_flow_columns() -%}
  {%- set counts = ['customers_with_losses', 'customers_with_net_losses', 'lost_involuntary', 'lost_voluntary', 'lost_unknown', 'cancellations_requested'] -%}
  {%- set amounts = ['mrr_new', 'mrr_expansion', 'mrr_contraction', 'mrr_churn', 'mrr_reactivation', 'mrr_cancelled'] -%}
  {%- set of_contributions = {} -%}
  {%- for column in counts + amounts -%} {%- do of_contributions.update({column: 'contributions.' ~ column}) -%} {%- endfor -%}
  {#- What is kept is what was there, less what is not kept or more what has grown. -#}
  {%- do of_contributions.update({'mrr_kept': '-contributions.mrr_not_kept', 'mrr_kept_and_grown': 'contributions.mrr_grown'}) -%}
  {#- Apart, as they are asked alone, of more customers: later rows move them. -#}
  {%- set of_terms = renewal_measures() -%}
  {%- for column in of_terms -%} {%- do columns.pop(column) -%} {%- endfor -%}
  {%- set further_counts = ['renewals_due', 'renewals_pending', 'renewals_renewed', 'renewals_not_renewed', 'customers_open', 'paying_customers_end', 'customers_open_12m'] -%}
  {%- set further_amounts = ['renewal_mrr_due', 'renewal_mrr_renewed', 'mrr_start', 'mrr_end', 'mrr_list_end', 'mrr_open', 'mrr_kept', 'mrr_kept_and_grown', 'mrr_new_net', 'mrr_reactivation_net',
    'mrr_moved_in', 'mrr_moved_out', 'mrr_open_12m', 'mrr_kept_12m', 'mrr_kept_and_grown_12m'] -%}
  {%- set ctes -%}
  {{ cells_of_members() }},

  {{ mrr_contributions(narrow(columns)) }},

  {{ mrr_at('opening', 'cells.period_start', 'cells.period_start') }},

  {{ mrr_at('closing', 'cells.close_date', 'cells.close_date') }},

  {# Who paid at the close and not at the opening. #}
  come as (
      select
          pairs.customer_key,
          pairs.grain,
          pairs.period_start,
          pairs.is_new * closing.mrr as mrr_new_net,
          (1 - pairs.is_new) * closing.mrr as mrr_reactivation_net
      from pairs
      inner join closing
          on pairs.customer_key = closing.customer_key
          and pairs.period_start = closing.period_start
          and pairs.grain = closing.grain
      where not pairs.is_paying_open
  ),

  {{ movers_of_members() }},

  moves as (
      select
          moved.customer_key,
          moved.grain,
          moved.period_start,
          moved.profile_key,
          moved.other_profile_key,
          moved.is_in * opening.mrr as mrr_moved_in,
          (1 - moved.is_in) * opening.mrr as mrr_moved_out
      from moved
      inner join opening
          on moved.customer_key = opening.customer_key
          and moved.period_start = opening.period_start
          and moved.grain = opening.grain
  ),

  {{ mrr_at('year_before', 'cells.close_12m', 'cells.close_12m') }},

  {{ mrr_at('year_after', 'cells.close_date', 'cells.close_12m') }},

  {# An MRR that is rounded to nothing still makes its customer count, unless it is one of several currencies (int_mrr_balances). #}
  currencies as (
      select
          customer_key,
          min(currency) = max(currency) as is_one
      from {{ fact('int_mrr_changes') }}
      where mrr_after <> mrr_before
      group by customer_key
  ),

  {# The 12-month figures have segments of their own: those of the look-back. #}
  year as (
      select
          year_before.customer_key,
          year_before.grain,
          year_before.period_start,
          coalesce(profiles_of_year.profile_key, 0) as profile_key,
          cast(null as bigint) as other_profile_key,
          1 as customers_open_12m,
          year_before.mrr as mrr_open_12m,
          least(year_before.mrr, coalesce(year_after.mrr, 0)) as mrr_kept_12m,
          coalesce(year_after.mrr, 0) as mrr_kept_and_grown_12m
      from year_before
      inner join cells
          on year_before.period_start = cells.period_start
          and year_before.grain = cells.grain
      inner join currencies
          on year_before.customer_key = currencies.customer_key
          and (year_before.mrr > 0 or currencies.is_one)
      left join year_after
          on year_before.customer_key = year_after.customer_key
          and year_before.period_start = year_after.period_start
          and year_before.grain = year_after.grain
      left join {{ fact('int_profile_spans') }} as profiles_of_year
          on year_before.customer_key = profiles_of_year.customer_key
          and profiles_of_year.rule in ('any', '12m')
          and profiles_of_year.from_period < cells.close_date
          and cells.close_date <= profiles_of_year.to_period
  )
  {%- endset -%}
  {{ return({
    'ctes': ctes,
    'parts': {
      'contributions': of_contributions,
      'dated_terms': of_terms,
      'opening': {'customers_open': 1, 'mrr_start': 'opening.mrr', 'mrr_open': 'opening.mrr', 'mrr_kept': 'opening.mrr', 'mrr_kept_and_grown': 'opening.mrr'},
      'closing': {'paying_customers_end': 1, 'mrr_end': 'closing.mrr', 'mrr_list_end': 'closing.list_mrr'},
      'come': {'mrr_new_net': 'come.mrr_new_net', 'mrr_reactivation_net': 'come.mrr_reactivation_net'},
      'moves': {'mrr_moved_in': 'moves.mrr_moved_in', 'mrr_moved_out': 'moves.mrr_moved_out'},
      'year': {'customers_open_12m': 'year.customers_open_12m', 'mrr_open_12m': 'year.mrr_open_12m', 'mrr_kept_12m': 'year.mrr_kept_12m',
        'mrr_kept_and_grown_12m': 'year.mrr_kept_and_grown_12m'}
    },
    'types': typed(counts + further_counts, amounts + further_amounts, 'decimal(38, 6)'),
    'own_profile': ['moves', 'year']
  }) }}
{%- endmacro %}
