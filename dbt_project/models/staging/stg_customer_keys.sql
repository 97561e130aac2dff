with customer_keys as (
    select * from {{ source('raw', 'customer_keys') }}
)

select
    customer_key,
    customer_id
from customer_keys
