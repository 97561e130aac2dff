with customer_keys as (
    select * from {{ source('raw', 'customer_keys') }}
    where {{ of_touched_customers('customer_key') }}
)

select
    customer_key,
    customer_id
from customer_keys
