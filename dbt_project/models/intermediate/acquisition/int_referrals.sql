{{ config(materialized='by_customer') }}
with customers as (
    select * from {{ ref('stg_customers') }}
),

identities as (
    select * from {{ ref('int_identities') }}
)

{# Rows of ids that stand for another one are left out. #}
select
    customers.customer_key,
    min(customers.referral_known_date) as known_date
from customers
left join identities
    on customers.customer_key = identities.alias_key
where customers.referral_known_date is not null
    and identities.alias_key is null
group by customers.customer_key
