{# A night adds to the previous generation: facts of touched customers are built anew, and their contributions to sums exchanged.
   A full refresh is the same text with everybody touched and nothing before. #}

{# The literal that the materializations by_grain and contributions replace by each grain in turn. #}
{% macro this_grain() -%} '__grain__' {%- endmacro %}

{% macro grains() -%} {{ return(var('grains')) }} {%- endmacro %}

{# Facts that a model is built from: all of them, at night those of touched customers; sums only read customers whose contribution may differ, of merged facts the rows that may.
   A backfill adds up the contributions of everybody anew; a model with the config facts='all' reads everybody's in every run. #}
{% macro fact(model) -%}
  {%- do ref('night_touched') -%}
  {%- set is_sum = config.get('materialized') == 'contributions' -%}
  {%- if not is_built(model) -%} {%- do ref(model) -%} {{ no_rows_of(model) }}
  {%- elif not is_at_night() or config.get('facts') == 'all' or (var('backfill') and is_sum) -%} {{ ref(model) }}
  {%- elif is_sum and model in merged_facts() -%} {{ rows_that_may_differ(ref(model)) }}
  {%- elif is_sum and config.get('sums_rows') -%} (select * from {{ ref(model) }} where customer_key in (select customer_key from {{ changed_customers(this) }}))
  {%- elif model in merged_facts() -%} (select * from {{ ref(model) }} where customer_key in (select customer_key from main.night_touched))
  {%- elif is_sum -%} (select * from {{ touched_rows(ref(model)) }} where customer_key in (select customer_key from {{ changed_customers(this) }}))
  {%- else -%} {{ touched_rows(ref(model)) }}
  {%- endif -%}
{%- endmacro %}

{# The same for what depends on the other phases of a subscription, which may have belonged to another customer. #}
{% macro fact_of_subscriptions(model) -%}
  {%- do ref('night_touched') -%}
  {%- if is_at_night() -%}
    (select * from {{ ref(model) }} where subscription_id in (
        select subscription_id from {{ touched_rows(ref(model)) }}
    ))
  {%- else -%} {{ ref(model) }}
  {%- endif -%}
{%- endmacro %}

{# Tonight's rows of touched customers, kept beside main while the night lasts, so that no sum has to look for them among everybody's again.
   Schema `touched` has the new rows, `touched_before` those of the previous generation; the materialization by_customer fills both. #}
{% macro touched_rows(relation) -%} {{ relation.incorporate(path={"schema": "touched"}) }} {%- endmacro %}

{% macro touched_rows_before(relation) -%} {{ relation.incorporate(path={"schema": "touched_before"}) }} {%- endmacro %}

{# Facts of many rows per customer, into which a night merges rows (materialization merged) and of which sums exchange rows instead of customers. What is made of a row must follow
   from the row, from the customer's other facts and from days of the row that have a mark. A model of such sums has the config sums_rows=true. #}
{% macro merged_facts() -%} {{ return(['int_active_days', 'int_session_lengths']) }} {%- endmacro %}

{# Rows of a merged fact that may differ from the previous generation's, as they are tonight (schema `differing`) and as they were (`differing_before`), those that a night replaces: as many as
   the config `replaces` says. Where the fact has a config `kept_until`, an expression of a replaced row and its change, both have a column of that name: the day from which on something is
   another of a row that keeps its place, null of other rows. Sums leave out those of which the macro `counts_alike` says that it is nothing that they look at, which both have as a column of that name, so that it is asked once. #}
{% macro differing_rows(relation) -%} {{ relation.incorporate(path={"schema": "differing"}) }} {%- endmacro %}

{% macro differing_rows_before(relation) -%} {{ relation.incorporate(path={"schema": "differing_before"}) }} {%- endmacro %}

{# The days of the first rows (`condition`) of touched customers in a merged fact, each with its customer: those that a night did not replace are in `column` of this model, as it was. #}
{% macro first_days_of_merged(fact, day, condition, column) -%}
  select customer_key, {{ column }} as fact_date from {{ previous(model.name) }}
  where {{ column }} is not null
      and customer_key in (select customer_key from main.night_touched)
      and customer_key not in (select customer_key from {{ differing_rows_before(ref(fact)) }} where {{ condition }})
  union all
  select customer_key, {{ day }} as fact_date from {{ differing_rows(ref(fact)) }}
  where {{ condition }}
      and customer_key in (select customer_key from main.night_touched)
{%- endmacro %}

{# All rows, as they were, of customers of whom something is another in a complete period: what the history asks for, of a fact with the config `keeps_late`. A night that has just looked through the
   table has its blocks in memory. #}
{% macro late_rows_before(relation) -%} {{ relation.incorporate(path={"schema": "late"}) }} {%- endmacro %}

{# Customers of whom another fact than the merged ones differs or is due, and who had rows before: all of their rows may contribute otherwise. Whoever had none has only rows that differ. #}
{% macro whole_customers(relation) -%} {{ relation.incorporate(path={"schema": "whole"}) }} {%- endmacro %}

{% macro customers_of_whole_rows() -%}
  select customer_key from ({{ customers_of_sums() }}) as customers
  where customer_key in (select customer_key from {{ previous('int_first_facts') }} where first_event_date is not null)
{%- endmacro %}

{# Rows of a merged fact that have a mark tonight, as they were: night_due_active_days, night_due_session_lengths. #}
{% macro due_rows(model) -%} main.{{ model | replace('int_', 'night_due_') }} {%- endmacro %}

{# Rows of a merged fact that may contribute otherwise: they differ in what counts, or have a mark, or are of such customers; each of them once. Turned to the previous generation: the rows there. #}
{% macro rows_that_may_differ(relation) -%}
  {%- set node = graph.nodes['model.retention.' ~ relation.identifier] -%}
  {%- set columns = node.columns.keys() | join(', ') -%}
  {%- set differing_before = differing_rows_before(relation) -%}
  (
    select {{ columns }} from {{ differing_rows(relation) }} as differing
    where not exists (select 1 from {{ whole_customers(this) }} as whole where whole.customer_key = differing.customer_key)
        {% if node.config.kept_until %}and not counts_alike{% endif %}
    union all
    select {{ columns }} from {{ due_rows(relation.identifier) }} as due
    where not exists (select 1 from {{ whole_customers(this) }} as whole where whole.customer_key = due.customer_key)
        and not exists (
            select 1 from {{ differing_before }} as gone
            where {% for column in node.config.row_key -%} gone.{{ column }} = due.{{ column }}{{ ' and ' if not loop.last }} {%- endfor %}
        )
    union all
    select {{ columns }} from {{ relation }} where customer_key in (select customer_key from {{ whole_customers(this) }})
  )
{%- endmacro %}

{# CTEs identities, identities_before and merged: ids whose customer is another one tonight, with the one now and the one before. Whoever calls it refers to int_identities. #}
{% macro merged_identities() -%}
  identities as (
      select * from {{ ref('int_identities') }}
  ),

  identities_before as (
      select * from {{ previous('int_identities') }}
  ),

  merged as (
      select
          coalesce(identities.alias_key, identities_before.alias_key) as alias_key,
          identities.customer_key as customer_key_now,
          identities_before.customer_key as customer_key_before
      from identities
      full outer join identities_before
          on identities.alias_key = identities_before.alias_key
      where identities.customer_key is distinct from identities_before.customer_key
  )
{%- endmacro %}

{# The sums that a night writes, of a model of contributions that makes all grains in one go. #}
{% macro written_sums(relation) -%} {{ relation.incorporate(path={"schema": "written"}) }} {%- endmacro %}

{# Customers of a fact whose rows differ from the previous generation's, and of a model of sums those whose contribution may differ:
   rows of one of its facts differ, or one of them is due. #}
{% macro changed_customers(relation) -%} {{ relation.incorporate(path={"schema": "changed"}) }} {%- endmacro %}

{% macro customers_of_sums() -%}
  {%- set direct = facts_among(model.depends_on.nodes) -%}
  {%- if not direct -%} {%- do exceptions.raise_compiler_error(this.identifier ~ ' is a sum over no fact: dbt knows no graph') -%} {%- endif -%}
  {%- set behind = [] -%}
  {%- set open = direct | list -%}
  {%- for _ in range(100) if open -%}
    {%- set fact = open.pop() -%}
    {%- if fact not in behind -%}
      {%- do behind.append(fact) -%}
      {%- do open.extend(facts_among(graph.nodes[fact].depends_on.nodes)) -%}
    {%- endif -%}
  {%- endfor -%}
  {%- for fact in direct if is_built(graph.nodes[fact].name) -%}
    select customer_key from {{ changed_customers(this.incorporate(path={"identifier": graph.nodes[fact].name})) }}
    union
  {% endfor -%}
  select customer_key from main.night_due
  where fact in ('int_fx_rates'{% for fact in behind %}, '{{ graph.nodes[fact].name }}'{% endfor %})
{%- endmacro %}

{# Of a model that sums rows, the customers with a row that may contribute otherwise, too. #}
{% macro customers_of_sums_of_rows() -%}
  select customer_key from {{ whole_customers(this) }}
  {%- for node in model.depends_on.nodes if node in graph.nodes and graph.nodes[node].name in merged_facts() %}
  {%- set relation = this.incorporate(path={"identifier": graph.nodes[node].name}) %}
  {%- set of_these = 'where not counts_alike' if graph.nodes[node].config.kept_until else '' %}
  union
  select customer_key from {{ differing_rows(relation) }} {{ of_these }}
  union
  select customer_key from {{ differing_rows_before(relation) }} {{ of_these }}
  union
  select customer_key from {{ due_rows(relation.identifier) }}
  {%- endfor %}
{%- endmacro %}

{% macro facts_among(nodes) -%}
  {%- set found = [] -%}
  {%- for node in nodes if node in graph.nodes and graph.nodes[node].config.materialized == 'by_customer' -%}
    {%- do found.append(node) -%}
  {%- endfor -%}
  {{ return(found) }}
{%- endmacro %}

{# The condition on raw rows: at night those of touched customers, by the key of the id that the source gave (0: none). #}
{% macro of_touched_customers(key) -%}
  {%- do ref('night_touched_keys') -%}
  {%- if is_at_night() -%} coalesce({{ key }}, 0) in (select raw_key from main.night_touched_keys) {%- else -%} true {%- endif -%}
{%- endmacro %}

{# Whether this model adds to the previous generation. One that only reads a dataset that was not connected then is built wholly, also at night. #}
{% macro is_at_night() -%} {{ return(var('night') and model.name not in var('new_models')) }} {%- endmacro %}

{# A table of the generation that this run starts from. #}
{% macro previous(model) -%} {%- if is_built(model) and model not in var('new_models') -%} previous.main.{{ model }} {%- else -%} {{ no_rows_of(model) }} {%- endif -%} {%- endmacro %}

{# Whether a run builds a model: the datasets that it needs are connected (its yml: config.meta.needs, needs_any). #}
{% macro is_built(model) -%} {{ return(model not in var('absent_models')) }} {%- endmacro %}

{# What a model reads that is built in more homes than the other one: no rows where that is absent. #}
{% macro ref_if_built(model) -%}
  {%- set relation = ref(model) -%}
  {%- if is_built(model) -%} {{ relation }} {%- else -%} {{ no_rows_of(model) }} {%- endif -%}
{%- endmacro %}

{# An absent model as a relation of its columns, which its yml lists with their types. #}
{% macro no_rows_of(model) -%}
  {%- if not execute -%} (select 1) {%- else -%}
  {%- set columns = graph.nodes['model.retention.' ~ model].columns.values() | selectattr('data_type') | list -%}
  {%- if not columns -%} {%- do exceptions.raise_compiler_error(model ~ ' is absent from this run and its yml lists no columns to read instead') -%} {%- endif -%}
  (select {% for column in columns %}cast(null as {{ column.data_type }}) as {{ column.name }}{{ ', ' if not loop.last }}{% endfor %} where false)
  {%- endif -%}
{%- endmacro %}

{# The text of a model, turned to the previous generation: its facts, its calendar, its as_of. #}
{% macro on_previous_generation(sql, relation) -%}
  {%- set here = '"' ~ relation.database ~ '"."' ~ relation.schema ~ '".' -%}
  {%- set touched = '"' ~ relation.database ~ '"."touched".' -%}
  {%- set touched_before = '"' ~ relation.database ~ '"."touched_before".' -%}
  {%- set differing = '"' ~ relation.database ~ '"."differing".' -%}
  {%- set differing_before = '"' ~ relation.database ~ '"."differing_before".' -%}
  {{ return(sql | replace(here, 'previous.main.') | replace(touched, touched_before) | replace(differing, differing_before) | replace(as_of(), as_of(var('previous_as_of')))) }}
{%- endmacro %}

{# The condition on sums of the periods that a backfill asks for: those that overlap [from, to). Sums are keyed by a period's start (they read int_calendar) or
   number (int_periods). #}
{% macro backfilled(grains, column) -%}
{%- for grain in grains -%}
  (grain = '{{ grain }}' and {{ column }} in (
      select {{ column }} from main.{{ 'int_calendar' if column == 'period_start' else 'int_periods' }}
      where grain = '{{ grain }}'
          and period_start < cast('{{ var("backfill")["to"] }}' as date)
          and period_end > cast('{{ var("backfill")["from"] }}' as date)
  )){{ ' or ' if not loop.last }}
{%- endfor -%}
{%- endmacro %}

{# Raw keeps the rows of a dataset whose source was taken out of the settings; they count no more. #}
{% macro has_dataset(dataset) -%} {{ return(dataset in var('datasets')) }} {%- endmacro %}
