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

{{ family_inputs() }},

{{ sums_of_facts('counted', 'units', 'unit_date', {
    'delivered': 'count(*)',
    'opened': count_where('units.opened_date < ' ~ as_of()),
    'opened_raw': count_where('units.opened_raw_date < ' ~ as_of()),
    'clicked': count_where('units.clicked_date < ' ~ as_of()),
    'opened_or_clicked': count_where('least(units.opened_date, units.clicked_date) < ' ~ as_of())
}, is_not_bounced('units')) }},

{{ family_flows({'counted': {
    'emails_delivered': 'delivered',
    'emails_opened': 'opened',
    'emails_opened_raw': 'opened_raw',
    'emails_clicked': 'clicked',
    'emails_opened_or_clicked': 'opened_or_clicked'
}}, 'known') }}
