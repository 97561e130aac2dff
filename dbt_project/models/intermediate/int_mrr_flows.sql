{{ config(materialized='contributions', flow_keys=['grain', 'period_start', 'profile_before', 'profile_key']) }}
{%- set columns = mrr_flow_columns() -%}
{%- set row_columns = narrow(columns) -%}
with calendar as (
    select * from {{ ref('int_calendar') }}
    where grain = {{ this_grain() }}
),

profiles as (
    {{ profiles_of_periods() }}
),

profile_changes as (
    {{ profile_changes() }}
),

first_facts as (
    select * from {{ fact('int_first_facts') }}
    where first_subscription_fact_date is not null
        and customer_key <> 0
),

movements as (
    select * from {{ fact('mrr_movements') }}
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

moved as (
    {{ moved_mrr() }}
),

customers_with_losses as (
    select distinct
        movements.customer_key,
        calendar.period_start
    from movements
    inner join calendar
        on movements.movement_date = calendar.calendar_date
    where movements.movement in ('contraction', 'churn')
),

dated_terms as (
    select
        terms.customer_key,
        calendar.period_start,
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
        calendar.period_start,
        {{ only(row_columns, {'customers_known': 1}) }}
    from first_facts
    inner join calendar
        on first_facts.first_subscription_fact_date = calendar.calendar_date
    union all
    select
        movements.customer_key,
        calendar.period_start,
        {{ only(row_columns, {
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
        period_start,
        {{ only(row_columns, {'customers_with_losses': 1}) }}
    from customers_with_losses
    union all
    select
        customer_key,
        period_start,
        {{ only(row_columns, {
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
        period_start,
        {{ only(row_columns, {
            'customers_lost': 1,
            'lost_involuntary': "case when lost_class = 'involuntary' then 1 else 0 end",
            'lost_voluntary': "case when lost_class = 'voluntary' then 1 else 0 end",
            'lost_unknown': "case when lost_class = 'unknown' then 1 else 0 end"
        }) }}
    from lost
    union all
    select
        customer_key,
        period_start,
        {{ only(row_columns, {
            'renewals_due': 1,
            'renewals_pending': 'case when is_resolved then 0 else 1 end',
            'renewals_renewed': 'case when is_resolved and is_renewed then 1 else 0 end',
            'renewals_not_renewed': 'case when is_resolved and not is_renewed then 1 else 0 end',
            'renewal_mrr_due': 'case when is_resolved then mrr_due else 0 end',
            'renewal_mrr_renewed': 'case when is_resolved and is_renewed then mrr_renewed else 0 end'
        }) }}
    from dated_terms
    union all
    select
        cancel_requests.customer_key,
        calendar.period_start,
        {{ only(row_columns, {'cancellations_requested': 1}) }}
    from cancel_requests
    inner join calendar
        on cancel_requests.request_date = calendar.calendar_date
),

{# Those who pay have one row per currency here; that they move is counted once. #}
moves as (
    select
        profile_changes.period_start,
        profile_changes.profile_before,
        profile_changes.profile_key,
        {{ only(row_columns, {'customers_known': 1}) }}
    from profile_changes
    inner join first_facts
        on profile_changes.customer_key = first_facts.customer_key
        and first_facts.first_subscription_fact_date < profile_changes.period_start
    union all
    select
        moved.period_start,
        moved.profile_before,
        moved.profile_key,
        {{ only(row_columns, {
            'customers_paying': "case when row_number() over (partition by moved.customer_key, moved.period_start order by moved.currency nulls last) = 1 then 1 else 0 end",
            'home_mrr': "case when moved.currency = '" ~ var('reporting_currency') ~ "' then moved.mrr else 0 end",
            'home_list_mrr': "case when moved.currency = '" ~ var('reporting_currency') ~ "' then moved.list_mrr else 0 end",
            'mrr_moved': mrr_to_reporting('moved.mrr', 'moved.currency', 'fx_rates.rate')
        }) }}
    from moved
    left join fx_rates
        on moved.currency = fx_rates.currency
        and fx_rates.rate_date = {{ add_days('moved.period_start', -1) }}
),

flows as (
    select
        contributions.period_start,
        cast(-1 as bigint) as profile_before,
        coalesce(profiles.profile_key, 0) as profile_key,
{%- for column in columns %}
        contributions.{{ column }}{{ ',' if not loop.last }}
{%- endfor %}
    from contributions
    {{ join_profile('contributions') }}
    union all
    select
        period_start,
        profile_before,
        profile_key,
        {{ columns | join(', ') }}
    from moves
)

select
    cast({{ this_grain() }} as string) as grain,
    period_start,
    profile_before,
    profile_key,
{%- for column, type in columns.items() %}
    cast(sum({{ column }}) as {{ type }}) as {{ column }}{{ ',' if not loop.last }}
{%- endfor %}
from flows
group by
    period_start,
    profile_before,
    profile_key
