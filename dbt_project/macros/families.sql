{# Families of KPIs over a further dataset (basis `all`): the parts that their flows and period tables share. A family counts facts on their days; beside its
   counts it only knows who has a fact of it, since a segment value has rows once such a customer has it. #}

{# What facts add to the sums of a period is said in parts: name → its `facts` (a CTE), the `day` on which they count, their `measures`, the `condition` under which
   they count if not always (see sums_of_facts), and its `counts`, column of the sums → expression over the measures. Flows add them up by profile here, members
   by customer (members_of_parts), so that the two cannot differ. #}

{# CTEs that add up parts. #}
{% macro sums_of_parts(parts) -%}
{%- for name, part in parts.items() %}
  {{ sums_of_facts(name, part.facts, part.day, part.measures, part.get('condition', 'true'), movers=part.get('movers')) }}{{ ',' if not loop.last }}
{%- endfor %}
{%- endmacro %}

{# The query of all their counts, each of its columns from the parts that have it, as one relation. #}
{% macro counts_of_parts(parts, types) -%}
{%- for name, part in parts.items() %}
  select
      grain,
      period_start,
      profile_key,
      {{ only(types, part.counts) }}
  from {{ name }}
  {% if not loop.last %}union all{% endif %}
{%- endfor %}
{%- endmacro %}

{# Rows per grain, period_start, basis `all` and segment: the counts of `parts`, and how many customers become known or move with a profile.
   `known` is a CTE of customer_key and first_date, the day of the customer's first fact of the family. #}
{% macro family_flows(parts, known) -%}
  {%- set types = {} -%}
  {%- for part in parts.values() -%}
    {%- for column in part.counts -%}{%- do types.update({column: 'bigint'}) -%}{%- endfor -%}
  {%- endfor -%}
  {%- do types.update({'customers_known_change': 'bigint'}) -%}
  {%- set counted = {} -%}
  {%- do counted.update(parts) -%}
  {%- do counted.update({'first_known': {'counts': {'customers_known_change': 'customers_known'}}}) -%}
  {{ sums_of_parts(parts) }},

  {{ sums_of_facts('first_known', known, 'first_date', {'customers_known': 'count(*)'}) }},

  sums as (
      {{ counts_of_parts(counted, types) }}
  ),

  profile_changes as (
      {{ profile_changes(all_grains=true) }}
  ),

  moves as (
      select
          profile_changes.grain,
          profile_changes.period_start,
          profile_changes.profile_before,
          profile_changes.profile_key,
          cast(1 as bigint) as customers_known
      from profile_changes
      inner join {{ known }}
          on profile_changes.customer_key = {{ known }}.customer_key
          and {{ known }}.first_date < profile_changes.period_start
  ),

  flows as (
      {{ by_segment('sums', ['grain', 'period_start'], types | list, types) }}
  ),

  moved as (
      {{ moves_by_segment('moves', ['grain', 'period_start'], ['customers_known']) }}
  )

  select
      coalesce(flows.grain, moved.grain) as grain,
      coalesce(flows.period_start, moved.period_start) as period_start,
      'all' as basis,
      coalesce(flows.segment_dimension, moved.segment_dimension) as segment_dimension,
      coalesce(flows.segment_value, moved.segment_value) as segment_value,
{%- for column in types %}
      coalesce(flows.{{ column }}, 0) as {{ column }},
{%- endfor %}
      coalesce(moved.customers_known_in, 0) as customers_known_in,
      coalesce(moved.customers_known_out, 0) as customers_known_out
  from flows
  full outer join moved
      on flows.grain = moved.grain
      and flows.period_start = moved.period_start
      and flows.segment_dimension = moved.segment_dimension
      and flows.segment_value = moved.segment_value
{%- endmacro %}

{# The period table over flows of family_flows: its counts and customers_known, for `all` in every period since the first, for a value in those in which a known
   customer has it or something is counted. #}
{% macro family_periods(flow_model, counts) -%}
with flows as (
    select * from {{ ref(flow_model) }}
),

periods as (
    select * from {{ ref('int_periods') }}
),

{{ running_cells(['basis']) }},

balances as (
    select
        cells.grain,
        cells.period_start,
        cells.period_end,
        cells.basis,
        cells.segment_dimension,
        cells.segment_value,
{%- for column in counts %}
        coalesce(flows.{{ column }}, 0) as {{ column }},
{%- endfor %}
        cast(sum(coalesce(flows.customers_known_change + flows.customers_known_in - flows.customers_known_out, 0)) over running as bigint) as customers_known
    from cells
    left join flows
        on cells.grain = flows.grain
        and cells.period_start = flows.period_start
        and cells.basis = flows.basis
        and cells.segment_dimension = flows.segment_dimension
        and cells.segment_value = flows.segment_value
    window running as (
        partition by cells.grain, cells.basis, cells.segment_dimension, cells.segment_value
        order by cells.period_start nulls last rows unbounded preceding
    )
)

select
    grain,
    period_start,
    basis,
    segment_dimension,
    segment_value,
{%- for column in counts %}
    {{ column }},
{%- endfor %}
    customers_known
from balances
where {{ after_history_start() }}
    and (segment_dimension = 'all' or customers_known > 0{% for column in counts %} or {{ column }} > 0{% endfor %})
{%- endmacro %}
