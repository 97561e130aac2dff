{{ config(materialized='by_customer') }}
with tickets as (
    select * from {{ ref('stg_tickets') }}
),

identities as (
    select * from {{ ref('int_identities') }}
)

select
    tickets.ticket_id,
    coalesce(identities.customer_key, tickets.customer_key, 0) as customer_key,
    tickets.opened_date,
    tickets.opened_at,
    tickets.first_reply_date,
    {{ microseconds_between('tickets.opened_at', 'tickets.first_reply_at') }} as reply_microseconds,
    tickets.resolved_date,
    tickets.resolved_at,
    {{ microseconds_between('tickets.opened_at', 'tickets.resolved_at') }} as resolution_microseconds,
    coalesce(tickets.reason, '(none)') as reason
from tickets
left join identities
    on tickets.customer_key = identities.alias_key
where {{ is_since_data_start('tickets.opened_date') }}
