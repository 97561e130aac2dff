{{ config(materialized='contributions', flow_keys=['grain', 'period_start', 'basis', 'segment_dimension', 'segment_value']) }}
with tickets as (
    select * from {{ fact('int_tickets') }}
),

known as (
    select
        customer_key,
        first_ticket_date as first_date
    from {{ fact('int_first_facts') }}
    where first_ticket_date is not null
        and customer_key <> 0
),

{{ inputs_of_sums() }},

{{ family_flows(ticket_parts(), 'known') }}
