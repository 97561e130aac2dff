with touched as (
    select * from {{ ref('night_touched') }}
),

identities as (
    select * from {{ ref('int_identities') }}
)

select customer_key as raw_key, customer_key from touched
union
select identities.alias_key as raw_key, identities.customer_key
from identities
inner join touched
    on identities.customer_key = touched.customer_key
