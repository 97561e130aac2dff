{{ config(materialized='by_customer') }}
with customer_keys as (
    select * from {{ ref('stg_customer_keys') }}
),

identities as (
    select * from {{ ref('int_identities') }}
)

select
    customer_keys.customer_key,
    customer_keys.customer_id
from customer_keys
left join identities
    on customer_keys.customer_key = identities.alias_key
where identities.alias_key is null
