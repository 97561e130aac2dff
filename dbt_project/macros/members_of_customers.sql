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
