{{ config(materialized='contributions', flow_keys=['grain', 'period_start', 'basis', 'segment_dimension', 'segment_value']) }}
with units as (
    select * from {{ fact('int_email_units') }}
),

{# Whether a unit has bounced depends on as_of, and with it who has one. #}
known as (
    select
        customer_key,
        min(unit_date) as first_date
    from units
    where customer_key <> 0
        and {{ is_not_bounced('units') }}
    group by customer_key
),

{{ inputs_of_sums() }},

{{ family_flows(email_parts(), 'known') }}
