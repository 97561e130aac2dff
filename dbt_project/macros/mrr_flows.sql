{# What facts of subscriptions contribute to the sums of a period. Every query here is a sum over customers of a function of (the customer's facts, as_of). #}

{# The measures of int_mrr_flows. #}
{% macro mrr_flow_columns() -%}
  {%- set columns = {} -%}
  {%- for name in [
    'customers_known', 'customers_paying', 'customers_with_losses', 'customers_with_net_losses', 'customers_lost', 'lost_involuntary', 'lost_voluntary', 'lost_unknown',
    'renewals_due', 'renewals_pending', 'renewals_renewed', 'renewals_not_renewed', 'cancellations_requested'
  ] -%}
    {%- do columns.update({name: 'bigint'}) -%}
  {%- endfor -%}
  {%- for name in [
    'mrr_new', 'mrr_expansion', 'mrr_contraction', 'mrr_churn', 'mrr_reactivation', 'mrr_not_kept', 'mrr_grown', 'mrr_cancelled', 'home_mrr_new_net', 'home_mrr_reactivation_net',
    'renewal_mrr_due', 'renewal_mrr_renewed', 'home_mrr', 'home_list_mrr', 'mrr_moved'
  ] -%}
    {%- do columns.update({name: 'decimal(38, 6)'}) -%}
  {%- endfor -%}
  {{ return(columns) }}
{%- endmacro %}

{# The measures of a flow that balances are made of: the ones that move with a customer who changes segment. #}
{% macro mrr_moving_columns() -%}
  {{ return(['customers_known', 'customers_paying', 'home_mrr', 'home_list_mrr', 'mrr_moved']) }}
{%- endmacro %}

{# One row per customer and period with a change: MRR of the changed currencies at opening and close, both at the opening's rates, and whether the customer paid at either. #}
{% macro mrr_period_pairs() -%}
  select
      customer_key,
      {{ period_of() }},
      sum(case when previous_change_date < period_start then opening_mrr else 0 end) as mrr_open,
      sum(case when next_change_date >= close_date then closing_mrr else 0 end) as mrr_close,
      min_by(is_paying_before, change_date) as is_paying_open,
      max_by(is_paying_after, change_date) as is_paying_close,
      sum(case when is_home then mrr_after - mrr_before else 0 end) as home_mrr,
      sum(case when is_home then list_after - list_before else 0 end) as home_list_mrr,
      sum(case when is_home and next_change_date >= close_date then mrr_after else 0 end) as home_mrr_close,
      max(case when is_first_change then 1 else 0 end) as is_new
  from (
      select
          changes.customer_key,
          changes.change_date,
          changes.previous_change_date,
          changes.next_change_date,
          changes.is_paying_before,
          changes.is_paying_after,
          changes.is_first_change,
          changes.mrr_before,
          changes.mrr_after,
          changes.list_before,
          changes.list_after,
          changes.currency = '{{ var("reporting_currency") }}' as is_home,
          {{ period_of('calendar') }},
          calendar.close_date,
          {{ mrr_to_reporting('changes.mrr_before', 'changes.currency', 'fx_rates.rate') }} as opening_mrr,
          {{ mrr_to_reporting('changes.mrr_after', 'changes.currency', 'fx_rates.rate') }} as closing_mrr
      from {{ fact('int_mrr_changes') }} as changes
      inner join calendar
          on changes.change_date = calendar.calendar_date
      left join {{ ref('int_fx_rates') }} as fx_rates
          on changes.currency = fx_rates.currency
          and fx_rates.rate_date = {{ add_days('calendar.period_start', -1) }}
  ) as changes_of_periods
  group by
      customer_key,
      {{ period_of() }}
{%- endmacro %}

{# One row per customer and period at whose opening the customer paid and at whose close it does not. #}
{% macro lost_customers() -%}
  select
      lost.customer_key,
      {{ period_of('calendar') }},
      {{ lost_class('lost', 'calendar.close_date') }} as lost_class,
      {{ lost_reason('lost', 'calendar.close_date') }} as lost_reason
  from {{ fact('int_lost_classes') }} as lost
  inner join calendar
      on lost.end_date = calendar.calendar_date
      and (lost.next_start_date is null or lost.next_start_date >= calendar.close_date)
{#- The span that covers the opening may be an earlier one: who leaves, comes back and leaves again in a period is lost once. #}
  inner join {{ fact('int_active_spans') }} as opening_spans
      on lost.customer_key = opening_spans.customer_key
      and opening_spans.basis = 'subscription'
      and opening_spans.start_date < calendar.period_start
      and calendar.period_start <= opening_spans.end_date
{%- endmacro %}

{# MRR of customers who change profile at an opening, per currency. Expects the CTE profile_changes. #}
{% macro moved_mrr() -%}
  select
      profile_changes.customer_key,
      profile_changes.period_start,
      profile_changes.profile_before,
      profile_changes.profile_key,
      changes.currency,
      changes.mrr_after as mrr,
      changes.list_after as list_mrr
  from profile_changes
  inner join {{ fact('int_mrr_changes') }} as changes
      on profile_changes.customer_key = changes.customer_key
      and changes.change_date < profile_changes.period_start
      and profile_changes.period_start <= changes.next_change_date
      and changes.mrr_after > 0
{%- endmacro %}

{# What a term of dated_terms adds. #}
{% macro renewal_measures() -%}
  {{ return({
    'renewals_due': '1',
    'renewals_pending': 'case when is_resolved then 0 else 1 end',
    'renewals_renewed': 'case when is_resolved and is_renewed then 1 else 0 end',
    'renewals_not_renewed': 'case when is_resolved and not is_renewed then 1 else 0 end',
    'renewal_mrr_due': 'case when is_resolved then mrr_due else 0 end',
    'renewal_mrr_renewed': 'case when is_resolved and is_renewed then mrr_renewed else 0 end'
  }) }}
{%- endmacro %}

{# CTEs, `contributions` last: customer_key, period_start and `columns` (the measures of int_mrr_flows, column → type), in one row per customer or more.
   Expects the CTE calendar. #}
{% macro mrr_contributions(columns) -%}
  first_facts as (
      select * from {{ fact('int_first_facts') }}
      where first_subscription_fact_date is not null
          and customer_key <> 0
  ),

  movements as (
      select * from {{ fact('int_mrr_movements') }}
  ),

  terms as (
      select * from {{ fact('int_terms') }}
  ),

  cancel_requests as (
      select * from {{ fact('int_cancel_requests') }}
  ),

  fx_rates as (
      select * from {{ ref('int_fx_rates') }}
  ),

  pairs as (
      {{ mrr_period_pairs() }}
  ),

  lost as (
      {{ lost_customers() }}
  ),

  customers_with_losses as (
      select distinct
          movements.customer_key,
          {{ period_of('calendar') }}
      from movements
      inner join calendar
          on movements.movement_date = calendar.calendar_date
      where movements.movement in ('contraction', 'churn')
  ),

  dated_terms as (
      select
          terms.customer_key,
          {{ period_of('calendar') }},
          terms.resolved_date <= {{ as_of() }} as is_resolved,
          terms.renewed_date is not null as is_renewed,
          terms.mrr_due,
          terms.mrr_renewed
      from terms
      inner join calendar
          on terms.term_date = calendar.calendar_date
  ),

  contributions as (
      select
          first_facts.customer_key,
          {{ period_of('calendar') }},
          {{ only(columns, {'customers_known': 1}) }}
      from first_facts
      inner join calendar
          on first_facts.first_subscription_fact_date = calendar.calendar_date
      union all
      select
          movements.customer_key,
          {{ period_of('calendar') }},
          {{ only(columns, {
              'mrr_new': "case movements.movement when 'new' then movements.amount else 0 end",
              'mrr_expansion': "case movements.movement when 'expansion' then movements.amount else 0 end",
              'mrr_contraction': "case movements.movement when 'contraction' then -movements.amount else 0 end",
              'mrr_churn': "case movements.movement when 'churn' then -movements.amount else 0 end",
              'mrr_reactivation': "case movements.movement when 'reactivation' then movements.amount else 0 end"
          }) }}
      from movements
      inner join calendar
          on movements.movement_date = calendar.calendar_date
      union all
      select
          customer_key,
          {{ period_of() }},
          {{ only(columns, {'customers_with_losses': 1}) }}
      from customers_with_losses
      union all
      select
          customer_key,
          {{ period_of() }},
          {{ only(columns, {
              'customers_paying': 'case when is_paying_close then 1 else 0 end - case when is_paying_open then 1 else 0 end',
              'mrr_not_kept': 'greatest(mrr_open - mrr_close, 0)',
              'mrr_grown': 'case when is_paying_open then mrr_close - mrr_open else 0 end',
              'mrr_cancelled': 'case when is_paying_close then 0 else mrr_open end',
              'customers_with_net_losses': 'case when mrr_open > mrr_close then 1 else 0 end',
              'home_mrr_new_net': 'case when is_paying_open then 0 else is_new * home_mrr_close end',
              'home_mrr_reactivation_net': 'case when is_paying_open then 0 else (1 - is_new) * home_mrr_close end',
              'home_mrr': 'home_mrr',
              'home_list_mrr': 'home_list_mrr'
          }) }}
      from pairs
      union all
      select
          customer_key,
          {{ period_of() }},
          {{ only(columns, {
              'customers_lost': 1,
              'lost_involuntary': "case when lost_class = 'involuntary' then 1 else 0 end",
              'lost_voluntary': "case when lost_class = 'voluntary' then 1 else 0 end",
              'lost_unknown': "case when lost_class = 'unknown' then 1 else 0 end"
          }) }}
      from lost
      union all
      select
          customer_key,
          {{ period_of() }},
          {{ only(columns, renewal_measures()) }}
      from dated_terms
      union all
      select
          cancel_requests.customer_key,
          {{ period_of('calendar') }},
          {{ only(columns, {'cancellations_requested': 1}) }}
      from cancel_requests
      inner join calendar
          on cancel_requests.request_date = calendar.calendar_date
  )
{%- endmacro %}
