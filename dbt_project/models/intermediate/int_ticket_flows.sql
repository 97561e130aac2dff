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

{{ family_inputs() }},

{{ sums_of_facts('opened', 'tickets', 'opened_date', {'opened': 'count(*)', 'resolved_48h': count_where(is_resolved_in_48h('tickets'))}) }},

{{ sums_of_facts('replied', 'tickets', 'first_reply_date', {'replied': 'count(*)'}) }},

{{ sums_of_facts('resolved', 'tickets', 'resolved_date', {'resolved': 'count(*)'}) }},

{{ family_flows({
    'opened': {'tickets_opened': 'opened', 'tickets_resolved_48h': 'resolved_48h'},
    'replied': {'first_replies': 'replied'},
    'resolved': {'resolutions': 'resolved'}
}, 'known') }}
