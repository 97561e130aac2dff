{{ config(materialized='by_customer') }}
with orders as (
    {{ resolved_orders() }}
)

select
    coalesce(customer_key, 0) as customer_key,
    ordered_date,
    exclusion_reason,
    cast(count(*) as bigint) as orders
from orders
where exclusion_reason is not null
    and {{ is_since_data_start('ordered_date') }}
group by
    coalesce(customer_key, 0),
    ordered_date,
    exclusion_reason
