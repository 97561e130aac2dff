{# Members: the customers behind cells, each with their part of the measures. The texts of int_member_queries: of one basis and some periods, which the reader puts
   in for the placeholders __basis__ and __cells__ (a relation of grain and period_start); one per part, so that only what a measure needs is read. What happens in a
   period is the text of the flows, added up by customer instead of by profile; what stands at its opening or close is looked up in the facts as of that day.
   A row counts for the segment values of profile_key, but for those that other_profile_key (if there is one) has, too: who moves. #}

{# What families that this run has are made of, by family: `ctes`, the text of their CTEs, and `parts`, CTE → {measure: expression}; `types`, measure → type;
   `own_profile`, the parts that say the profiles themselves. #}
{% macro member_families() -%}
  {%- set families = {} -%}
  {%- if is_built('period_customers') -%} {%- do families.update({'customers': customer_members()}) -%} {%- endif -%}
  {%- if is_built('period_orders') -%} {%- do families.update({'orders': order_members()}) -%} {%- endif -%}
  {%- if is_built('period_mrr') -%} {%- do families.update({'subscriptions': mrr_members()}) -%} {%- endif -%}
  {%- if is_built('period_payments') -%} {%- do families.update({'payments': family_members('invoices', 'int_invoices', payment_parts())}) -%} {%- endif -%}
  {%- if is_built('period_engagement') -%} {%- do families.update({'engagement': activity_members()}) -%} {%- endif -%}
  {%- if is_built('period_surveys') -%} {%- do families.update({'surveys': family_members('answers', 'int_survey_answers', survey_parts())}) -%} {%- endif -%}
  {%- if is_built('period_emails') -%} {%- do families.update({'emails': family_members('units', 'int_email_units', email_parts())}) -%} {%- endif -%}
  {%- if is_built('period_tickets') -%} {%- do families.update({'tickets': family_members('tickets', 'int_tickets', ticket_parts())}) -%} {%- endif -%}
  {{ return(families) }}
{%- endmacro %}

{# CTEs of the cells: `calendar`, the days of their periods, `cells`, one row per period, and `profiles` of customers in periods. #}
{% macro cells_of_members() -%}
  asked_days as (
      select days.*
      from {{ ref('int_calendar') }} as days
      inner join __cells__ as asked
          on days.grain = asked.grain
          and days.period_start = asked.period_start
  ),

  calendar as (
      {{ calendar_with_previous('asked_days') }}
  ),

  cells as (
      select distinct
          grain,
          period_start,
          close_date,
          previous_start,
          {{ add_days('close_date', -365) }} as close_365d,
          {{ add_days('close_date', -var('mau_days')) }} as mau_start,
          {{ add_months('close_date', -12) }} as close_12m
      from calendar
  ),

  profiles as (
      select customer_key, grain, from_period, to_period, profile_key
      from {{ fact('int_profile_spans') }}
      where rule in ('any', 'period')
  )
{%- endmacro %}

{# CTE `moved`: customers who change profile at a cell's opening, twice: into a profile and out of the other one. #}
{% macro movers_of_members() -%}
  profile_changes as (
      {{ profile_changes(all_grains=true) }}
  ),

  changes_of_cells as (
      select profile_changes.*
      from profile_changes
      inner join cells
          on profile_changes.period_start = cells.period_start
          and profile_changes.grain = cells.grain
  ),

  moved as (
      select
          customer_key,
          grain,
          period_start,
          profile_key,
          profile_before as other_profile_key,
          1 as is_in
      from changes_of_cells
      union all
      select
          customer_key,
          grain,
          period_start,
          profile_before as profile_key,
          profile_key as other_profile_key,
          0 as is_in
      from changes_of_cells
  )
{%- endmacro %}

{# The query of one part: customer_key, grain, period_start, profile_key, other_profile_key and the measures to which it adds. #}
{% macro member_query(family, name) -%}
  {%- set types = {} -%}
  {%- set is_own = name in family.own_profile -%}
  {%- for measure in family.parts[name] -%} {%- do types.update({measure: family.types[measure]}) -%} {%- endfor -%}
  with {{ family.ctes }}

  select
      {{ name }}.customer_key,
      {{ name }}.grain,
      {{ name }}.period_start,
      {{ name ~ '.profile_key' if is_own else 'coalesce(profiles.profile_key, 0)' }} as profile_key,
      {{ name ~ '.other_profile_key' if is_own else 'cast(null as bigint)' }} as other_profile_key,
      {{ only(types, family.parts[name]) }}
  from {{ name }}
{%- if not is_own %}
  {{ join_profile(name) }}
      and profiles.grain in ('any', {{ name }}.grain)
{%- endif %}
{%- endmacro %}

{# CTEs of parts (see sums_of_parts), added up by customer over the days of each cell. #}
{% macro members_of_parts(parts) -%}
{%- for name, part in parts.items() %}
  {{ name }} as (
      select
          {{ part.facts }}.customer_key,
          calendar.grain,
          calendar.period_start,
{%- for column, aggregate in part.measures.items() %}
          {{ aggregate }} as {{ column }}{{ ',' if not loop.last }}
{%- endfor %}
      from {{ part.facts }}
      inner join calendar
          on {{ part.facts }}.{{ part.day }} = calendar.calendar_date
      where {{ part.get('condition', 'true') }}
      group by
          {{ part.facts }}.customer_key,
          calendar.grain,
          calendar.period_start
  ){{ ',' if not loop.last }}
{%- endfor %}
{%- endmacro %}

{# Measures → type. #}
{% macro typed(counts, amounts=[], amount_type='') -%}
  {%- set types = {} -%}
  {%- for name in counts -%} {%- do types.update({name: 'bigint'}) -%} {%- endfor -%}
  {%- for name in amounts -%} {%- do types.update({name: amount_type}) -%} {%- endfor -%}
  {{ return(types) }}
{%- endmacro %}

{# A family over a further dataset: what its facts add to the period. #}
{% macro family_members(facts, fact_model, parts) -%}
  {%- set counts = {} -%}
  {%- set expressions = {} -%}
  {%- for name, part in parts.items() -%}
    {%- do counts.update(part.counts) -%}
    {%- do expressions.update({name: part.counts}) -%}
  {%- endfor -%}
  {%- set ctes -%}
  {{ facts }} as (
      select * from {{ fact(fact_model) }}
  ),

  {{ cells_of_members() }},

  {{ members_of_parts(parts) }}
  {%- endset -%}
  {{ return({'ctes': ctes, 'parts': expressions, 'types': typed(counts), 'own_profile': []}) }}
{%- endmacro %}

{% macro customer_members() -%}
  {%- set counts = customer_counts() -%}
  {%- set of_contributions = {} -%}
  {%- for count in counts -%} {%- do of_contributions.update({count: 'contributions.' ~ count}) -%} {%- endfor -%}
  {%- do of_contributions.update({'customers_active': 'contributions.customers_lost + contributions.customers_transient'}) -%}
  {%- set states = {
    'customers_start': 'states.is_active_at_opening',
    'customers_end': 'states.is_active_at_close',
    'customers_retained': 'states.is_active_at_opening * states.is_active_at_close',
    'customers_active': 'states.is_active_at_close'
  } -%}
  {%- set ctes -%}
  spans as (
      select * from {{ fact('int_active_spans') }}
      where basis = '__basis__'
          or (is_only_basis and '__basis__' = 'any')
  ),

  referrals as (
      select * from {{ fact('int_referrals') }}
      where known_date < {{ as_of() }}
  ),

  {{ cells_of_members() }},

  {{ customer_contributions(counts) }},

  states as (
      select
          spans.customer_key,
          cells.grain,
          cells.period_start,
          max(case when spans.start_date < cells.period_start then 1 else 0 end) as is_active_at_opening,
          max(case when spans.end_date >= cells.close_date then 1 else 0 end) as is_active_at_close
      from spans
      inner join cells
          on spans.start_date < cells.close_date
          and spans.end_date >= cells.period_start
      group by
          spans.customer_key,
          cells.grain,
          cells.period_start
  ),

  {{ movers_of_members() }},

  moves as (
      select
          moved.customer_key,
          moved.grain,
          moved.period_start,
          moved.profile_key,
          moved.other_profile_key,
          moved.is_in as customers_moved_in,
          1 - moved.is_in as customers_moved_out
      from moved
      inner join states
          on moved.customer_key = states.customer_key
          and moved.period_start = states.period_start
          and moved.grain = states.grain
          and states.is_active_at_opening = 1
  )
  {%- endset -%}
  {{ return({
    'ctes': ctes,
    'parts': {
      'contributions': of_contributions,
      'states': states,
      'moves': {'customers_moved_in': 'moves.customers_moved_in', 'customers_moved_out': 'moves.customers_moved_out'}
    },
    'types': typed(['customers_start', 'customers_end', 'customers_retained', 'customers_active', 'customers_moved_in', 'customers_moved_out'] + counts),
    'own_profile': ['moves']
  }) }}
{%- endmacro %}

{# Balance of period_orders → what a buyer is at the close. #}
{% macro order_members() -%}
  {%- set flows = ['orders', 'order_revenue', 'ordering_customers', 'new_customer_orders', 'new_customer_revenue', 'repeat_customers', 'returning_customers', 'buyers_returning',
    'first_time_buyers', 'repurchased_30d', 'repurchased_60d', 'repurchased_90d', 'repurchased_180d', 'repurchased_365d', 'purchase_gaps', 'purchase_gap_days', 'refunds_by_refund_date'] -%}
  {%- set balances = {'buyers_to_date': 'buyers', 'repeat_buyers_to_date': 'repeat_buyers', 'repeat_buyers_by_orders_to_date': 'repeat_buyers_by_orders',
    'loyal_customers': 'loyal_customers', 'revenue_to_date': 'revenue'} -%}
  {%- set amounts = ['order_revenue', 'new_customer_revenue', 'refunds_by_refund_date', 'revenue_to_date', 'order_revenue_365d'] -%}
  {%- set at_close = buyer_state('cells.close_date', 'cells.close_365d', 'cells.previous_start') -%}
  {%- set at_opening = buyer_state('cells.period_start', 'cells.close_365d', 'cells.previous_start') -%}
  {%- set parts = {} -%}
  {%- set expressions = {} -%}
  {%- for name, part in order_parts().items() if name in ['purchases', 'first_purchases', 'refunded'] -%}
    {%- do parts.update({name: part}) -%}
    {%- do expressions.update({name: part.counts}) -%}
  {%- endfor -%}
  {%- set of_close = {} -%}
  {%- for balance, column in balances.items() -%} {%- do of_close.update({balance: 'at_close.' ~ column}) -%} {%- endfor -%}
  {%- do expressions.update({
    'at_close': of_close,
    'year_at_close': {'ordering_customers_365d': '1', 'order_revenue_365d': 'year_at_close.revenue'},
    'at_opening': {'ordering_customers_previous': 'at_opening.ordered'},
    'days_of_year': {'purchase_days_365d': 'days_of_year.purchase_days'}
  }) -%}
  {%- set counts = (flows + (balances | list) + ['ordering_customers_365d', 'ordering_customers_previous', 'purchase_days_365d']) | reject('in', amounts) | list -%}
  {%- set ctes -%}
  purchase_days as (
      select * from {{ fact('int_purchase_days') }}
  ),

  refunds as (
      select * from {{ fact('int_refunds') }}
  ),

  {{ cells_of_members() }},

  {{ members_of_parts(parts) }},

  {# The last purchase day before a year ago, of customers who have one. #}
  days_before as (
      select
          purchase_days.customer_key,
          cells.grain,
          cells.period_start,
          purchase_days.revenue_to_date
      from purchase_days
      inner join cells
          on purchase_days.purchase_date < cells.close_365d
          and (purchase_days.next_date is null or purchase_days.next_date >= cells.close_365d)
  ),

  at_close as (
      select
          purchase_days.customer_key,
          cells.grain,
          cells.period_start,
{%- for column in balances.values() %}
          {{ at_close[column] }} as {{ column }}{{ ',' if not loop.last }}
{%- endfor %}
      from purchase_days
      inner join cells
          on purchase_days.purchase_date < cells.close_date
          and (purchase_days.next_date is null or purchase_days.next_date >= cells.close_date)
  ),

  {# Apart, as the look-up of the day before costs as much as all the rest. #}
  year_at_close as (
      select
          purchase_days.customer_key,
          cells.grain,
          cells.period_start,
          {{ at_close.revenue_365d }} as revenue
      from purchase_days
      inner join cells
          on purchase_days.purchase_date < cells.close_date
          and purchase_days.purchase_date >= cells.close_365d
          and (purchase_days.next_date is null or purchase_days.next_date >= cells.close_date)
      left join days_before
          on purchase_days.customer_key = days_before.customer_key
          and cells.period_start = days_before.period_start
          and cells.grain = days_before.grain
  ),

  at_opening as (
      select
          purchase_days.customer_key,
          cells.grain,
          cells.period_start,
          {{ at_opening.ordered }} as ordered
      from purchase_days
      inner join cells
          on purchase_days.purchase_date < cells.period_start
          and (purchase_days.next_date is null or purchase_days.next_date >= cells.period_start)
  ),

  days_of_year as (
      select
          purchase_days.customer_key,
          cells.grain,
          cells.period_start,
          count(*) as purchase_days
      from purchase_days
      inner join cells
          on purchase_days.purchase_date < cells.close_date
          and purchase_days.purchase_date >= cells.close_365d
      where cells.grain <> 'week'
      group by
          purchase_days.customer_key,
          cells.grain,
          cells.period_start
  )
  {%- endset -%}
  {%- for name in expressions -%}
    {%- set wanted = {} -%}
    {%- for measure, expression in expressions[name].items() if measure in counts + amounts -%} {%- do wanted.update({measure: expression}) -%} {%- endfor -%}
    {%- do expressions.update({name: wanted}) -%}
  {%- endfor -%}
  {{ return({'ctes': ctes, 'parts': expressions, 'types': typed(counts, amounts, 'decimal(38, 2)'), 'own_profile': []}) }}
{%- endmacro %}

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

{% macro activity_members() -%}
  {%- set flows = ['active_days', 'active_customers', 'active_new', 'active_returning'] -%}
  {%- set parts = activity_parts() -%}
  {%- set at_close = activity_state('cells.close_date', 'last_days.active_date', 'cells.previous_start') -%}
  {%- set of_entries = {} -%}
  {%- for flow in flows -%} {%- do of_entries.update({flow: parts.entries.counts[flow]}) -%} {%- endfor -%}
  {%- do of_entries.update({'active_resurrected': 'active_customers - active_new - active_returning', 'active_dormant': '-active_returning'}) -%}
  {%- set of_previous = {'active_dormant': 1} -%}
  {%- set of_close = {} -%}
  {%- for column in ['wau', 'mau', 'yau', 'mau_active_days', 'index_active_days'] -%} {%- do of_close.update({column: 'at_close.' ~ column}) -%} {%- endfor -%}
  {%- set ctes -%}
  active_days as (
      select * from {{ fact('int_active_days') }}
  ),

  session_lengths as (
      select * from {{ fact('int_session_lengths') }}
  ),

  {{ cells_of_members() }},

  {{ members_of_parts(parts) }},

  {# The last active day before the close, and the one before the window of mau_days. #}
  last_days as (
      select
          active_days.customer_key,
          cells.grain,
          cells.period_start,
          active_days.active_date,
          active_days.day_number
      from active_days
      inner join cells
          on active_days.active_date < cells.close_date
          and (active_days.next_date is null or active_days.next_date >= cells.close_date)
  ),

  days_before as (
      select
          active_days.customer_key,
          cells.grain,
          cells.period_start,
          active_days.day_number
      from active_days
      inner join cells
          on active_days.active_date < cells.mau_start
          and (active_days.next_date is null or active_days.next_date >= cells.mau_start)
  ),

  active_at_close as (
      select distinct
          spans.customer_key,
          cells.grain,
          cells.period_start
      from {{ fact('int_active_spans') }} as spans
      inner join cells
          on spans.start_date < cells.close_date
          and spans.end_date >= cells.close_date
      where spans.basis = 'any'
          or spans.is_only_basis
  ),

  at_close as (
      select
          last_days.customer_key,
          last_days.grain,
          last_days.period_start,
          {{ at_close.wau }} as wau,
          {{ at_close.mau }} as mau,
          {{ at_close.yau }} as yau,
          last_days.day_number - coalesce(days_before.day_number, 0) as mau_active_days,
          case when active_at_close.customer_key is not null then last_days.day_number - coalesce(days_before.day_number, 0) else 0 end as index_active_days
      from last_days
      inner join cells
          on last_days.period_start = cells.period_start
          and last_days.grain = cells.grain
      left join days_before
          on last_days.customer_key = days_before.customer_key
          and last_days.period_start = days_before.period_start
          and last_days.grain = days_before.grain
      left join active_at_close
          on last_days.customer_key = active_at_close.customer_key
          and last_days.period_start = active_at_close.period_start
          and last_days.grain = active_at_close.grain
  ),

  active_before as (
      select distinct
          active_days.customer_key,
          cells.grain,
          cells.period_start
      from active_days
      inner join cells
          on active_days.active_date < cells.period_start
          and active_days.active_date >= cells.previous_start
  )
  {%- endset -%}
  {{ return({
    'ctes': ctes,
    'parts': {'entries': of_entries, 'sessions': parts.sessions.counts, 'at_close': of_close, 'active_before': of_previous},
    'types': typed(flows + ['active_resurrected', 'active_dormant', 'session_events'] + (of_close | list)),
    'own_profile': []
  }) }}
{%- endmacro %}
