{{ config(materialized='contributions', flow_keys=['grain', 'period_start', 'basis', 'segment_dimension', 'segment_value']) }}
with invoices as (
    select * from {{ fact('int_invoices') }}
),

known as (
    select
        customer_key,
        first_payment_date as first_date
    from {{ fact('int_first_facts') }}
    where first_payment_date is not null
        and customer_key <> 0
),

{{ inputs_of_sums() }},

{{ family_flows(payment_parts(), 'known') }}
