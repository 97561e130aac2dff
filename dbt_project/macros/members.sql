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
