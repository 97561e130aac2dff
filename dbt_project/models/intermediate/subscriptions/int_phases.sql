{{ config(materialized='by_customer') }}
with subscriptions as (
    select * from {{ ref('stg_subscriptions') }}
),

identities as (
    select * from {{ ref('int_identities') }}
),

with_days as (
    select
        *,
        lead(start_date) over (
            partition by subscription_id
            {#- A date and an instant may name the same moment; then what the rows say decides. #}
            order by started_at nulls last, end_date nulls last, plan nulls last, amount nulls last, quantity nulls last, recurring_discount nulls last,
                currency nulls last, status nulls last, billing_interval nulls last, interval_count nulls last, customer_key nulls last,
                term_end_date nulls last, end_reason nulls last
        ) as next_start_date
    from subscriptions
    where start_date < end_date
),

mended as (
    select
        *,
        least(end_date, coalesce(next_start_date, end_date)) as last_date,
        sum(case when end_date > next_start_date then 1 else 0 end) over (partition by subscription_id, start_date) as clipped_phases
    from with_days
)

select
    mended.subscription_id,
    coalesce(identities.customer_key, mended.customer_key) as customer_key,
    mended.plan,
    mended.start_date,
    mended.last_date as end_date,
    {{ mrr_amount('mended.amount', 'mended.quantity', 'mended.recurring_discount', 'mended.billing_interval', 'mended.interval_count') }} as mrr,
    {{ mrr_amount('mended.amount', 'mended.quantity', 'cast(0 as decimal(18, 6))', 'mended.billing_interval', 'mended.interval_count') }} as list_mrr,
    mended.currency,
    mended.status,
    mended.billing_interval,
    mended.interval_count,
    mended.term_end_date,
    mended.end_reason,
    cast(mended.clipped_phases as bigint) as clipped_phases
from mended
left join identities
    on mended.customer_key = identities.alias_key
where mended.start_date < mended.last_date
