{{ config(materialized='by_customer') }}
with subscriptions as (
    select * from {{ ref('stg_subscriptions') }}
),

identities as (
    select * from {{ ref('int_identities') }}
)

select
    subscriptions.subscription_id,
    subscriptions.cancel_requested_date as request_date,
    min(coalesce(identities.customer_key, subscriptions.customer_key)) as customer_key
from subscriptions
left join identities
    on subscriptions.customer_key = identities.alias_key
where subscriptions.cancel_requested_date >= {{ data_start() }}
group by
    subscriptions.subscription_id,
    subscriptions.cancel_requested_date
