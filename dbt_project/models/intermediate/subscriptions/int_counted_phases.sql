{{ config(materialized='by_customer') }}
with phases as (
    select * from {{ fact_of_subscriptions('int_phases') }}
),

neighbours as (
    select
        *,
        coalesce(lag(end_date) over (partition by subscription_id order by start_date nulls last) = start_date, false) as is_touching,
        lag(status) over (partition by subscription_id order by start_date nulls last) as status_before,
        lag(mrr) over (partition by subscription_id order by start_date nulls last) as mrr_before,
        lead(start_date) over (partition by subscription_id order by start_date nulls last) as next_phase_start_date,
        lead(end_reason) over (partition by subscription_id order by start_date nulls last) as next_end_reason
    from phases
),

active as (
    select
        *,
        start_date as from_date,
        end_date as to_date
    from neighbours
    where status = 'active'
        and mrr > 0
),

{# A run of past_due days goes on over phases that touch. #}
past_due as (
    select
        *,
        max(case when not (is_touching and status_before = 'past_due') then start_date end) over (
            partition by subscription_id order by start_date nulls last rows unbounded preceding
        ) as run_start_date
    from neighbours
    where status = 'past_due'
),

runs as (
    select
        *,
        max(case when is_touching and status_before = 'active' and mrr_before > 0 then 1 else 0 end) over (
            partition by subscription_id, run_start_date
        ) as follows_counted_day
    from past_due
),

in_grace as (
    select
        *,
        start_date as from_date,
        least(end_date, {{ add_days('run_start_date', var('count_past_due_days')) }}) as to_date
    from runs
    where follows_counted_day = 1
        and mrr > 0
),

counted as (
{%- for kind in ['active', 'in_grace'] %}
    select
        subscription_id,
        customer_key,
        plan,
        from_date,
        to_date,
        start_date,
        mrr,
        list_mrr,
        currency,
        status,
        billing_interval,
        interval_count,
        term_end_date,
        end_reason,
        next_phase_start_date,
        next_end_reason
    from {{ kind }}
    where from_date < to_date
    {% if not loop.last %}union all{% endif %}
{%- endfor %}
),

{# Read before the cut at data_start: anchors of terms come from all rows. #}
anchored as (
    select
        *,
        min(from_date) over (partition by subscription_id) as first_counted_date
    from counted
)

select
    subscription_id,
    customer_key,
    plan,
    greatest(from_date, {{ data_start() }}) as start_date,
    to_date as end_date,
    start_date as phase_start_date,
    mrr,
    list_mrr,
    currency,
    status = 'past_due' as is_past_due,
    billing_interval,
    interval_count,
    coalesce(term_end_date, first_counted_date) as anchor_date,
    end_reason,
    next_phase_start_date,
    next_end_reason
from anchored
where to_date > {{ data_start() }}
