{{ config(materialized='by_customer') }}
with surveys as (
    select * from {{ ref('stg_surveys') }}
    where {{ is_since_data_start('responded_date') }}
),

identities as (
    select * from {{ ref('int_identities') }}
),

answers as (
    select
        surveys.response_id,
        coalesce(identities.customer_key, surveys.customer_key, 0) as customer_key,
        surveys.responded_date,
        surveys.responded_at,
        surveys.kind,
        surveys.score,
        surveys.scale_max
    from surveys
    left join identities
        on surveys.customer_key = identities.alias_key
)

select
    response_id,
    customer_key,
    responded_date,
    kind,
    score,
    scale_max,
    case
        when kind = 'nps' and customer_key <> 0
            then lead(responded_date) over (partition by kind, customer_key order by responded_at nulls last, response_id nulls last)
    end as next_date
from answers
