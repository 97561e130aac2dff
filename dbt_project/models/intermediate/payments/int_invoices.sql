{{ config(materialized='by_customer') }}
with payments as (
    select * from {{ ref('stg_payments') }}
),

identities as (
    select * from {{ ref('int_identities') }}
),

attempts as (
    select
        *,
        row_number() over (partition by is_lone, invoice_id order by attempted_at nulls last, payment_id nulls last) as attempt_number,
        min(case when status = 'succeeded' then attempted_date end) over (partition by is_lone, invoice_id) as succeeded_date
    from payments
)

select
    attempts.invoice_id,
    attempts.is_lone,
    coalesce(identities.customer_key, attempts.customer_key, 0) as customer_key,
    attempts.attempted_date,
    attempts.status = 'failed' as is_failed,
    coalesce(attempts.failure_reason, '(none)') as failure_reason,
    attempts.succeeded_date
from attempts
left join identities
    on attempts.customer_key = identities.alias_key
where attempts.attempt_number = 1
    and {{ is_since_data_start('attempts.attempted_date') }}
