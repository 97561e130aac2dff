{{ config(materialized='ephemeral') }}
with loads as (
    select * from {{ ref('stg_loads') }}
    where dataset = 'customers'
        and {{ has_dataset('customers') | lower }}
)

select count(*) > 0 as is_given
from loads
where given_columns like '%referred_by%'
