{{ config(materialized='by_customer') }}
with subscriptions as (
    select * from {{ ref('stg_subscriptions') }}
),

identities as (
    select * from {{ ref('int_identities') }}
),

{# One of the ids that the source gave, before they are resolved: so a merge moves the request of that id alone, and touches whom it takes it from. #}
requests as (
    select
        subscription_id,
        cancel_requested_date as request_date,
        min(customer_key) as customer_key
    from subscriptions
    where cancel_requested_date >= {{ data_start() }}
    group by
        subscription_id,
        cancel_requested_date
)

select
    requests.subscription_id,
    requests.request_date,
    coalesce(identities.customer_key, requests.customer_key) as customer_key
from requests
left join identities
    on requests.customer_key = identities.alias_key
