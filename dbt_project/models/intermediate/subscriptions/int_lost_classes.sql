{{ config(materialized='by_customer') }}
with spans as (
    select * from {{ fact('int_active_spans') }}
    where basis = 'subscription'
        and end_date < {{ last_day() }}
),

counted_phases as (
    select * from {{ fact('int_counted_phases') }}
),

fx_rates as (
    select * from {{ ref('int_fx_rates') }}
),

{# What counted on a span's last day ends with the span. #}
last_phases as (
    select
        spans.customer_key,
        spans.start_date,
        spans.end_date,
        spans.next_start_date,
        counted_phases.subscription_id,
        counted_phases.is_past_due,
        counted_phases.end_reason,
        counted_phases.next_phase_start_date,
        counted_phases.next_end_reason,
        counted_phases.currency,
        counted_phases.mrr,
        min(counted_phases.currency) over (partition by spans.customer_key, spans.end_date) as first_currency,
        max(counted_phases.currency) over (partition by spans.customer_key, spans.end_date) as last_currency
    from spans
    inner join counted_phases
        on spans.customer_key = counted_phases.customer_key
        and spans.end_date = counted_phases.end_date
),

compared as (
    select
        last_phases.*,
        case
            when last_phases.first_currency = last_phases.last_currency then last_phases.mrr
            else {{ mrr_to_reporting('last_phases.mrr', 'last_phases.currency', 'fx_rates.rate') }}
        end as comparable_mrr
    from last_phases
    left join fx_rates
        on last_phases.currency = fx_rates.currency
        and {{ add_days('last_phases.end_date', -1) }} = fx_rates.rate_date
),

ranked as (
    select
        *,
        row_number() over (
            partition by customer_key, end_date order by comparable_mrr desc nulls last, subscription_id nulls last
        ) as place
    from compared
)

select
    customer_key,
    start_date,
    end_date,
    next_start_date,
    subscription_id,
    is_past_due,
    end_reason,
    {{ churn_class('end_reason') }} as own_class,
    next_phase_start_date,
    next_end_reason,
    {{ churn_class('next_end_reason') }} as next_class
from ranked
where place = 1
