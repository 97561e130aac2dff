{{ config(materialized='by_customer') }}
{#- Facts of further datasets: column of the first day → fact, its day, the condition of the first one. -#}
{%- set families = {
    'first_event_date': ['int_active_days', 'active_date', 'day_number = 1'],
    'first_payment_date': ['int_invoices', 'attempted_date'],
    'first_answer_date': ['int_survey_answers', 'responded_date'],
    'first_email_date': ['int_email_units', 'unit_date'],
    'first_ticket_date': ['int_tickets', 'opened_date']
} -%}
{%- for family in families.values() %}{% do ref(family[0]) %}{% endfor %}
with purchase_days as (
    select * from {{ fact('int_purchase_days') }}
),

refunds as (
    select * from {{ fact('int_refunds') }}
),

spans as (
    select * from {{ fact('int_active_spans') }}
),

cancel_requests as (
    select * from {{ fact('int_cancel_requests') }}
),

facts as (
    select 'purchase' as fact, customer_key, purchase_date as fact_date from purchase_days where day_number = 1
    union all
    select 'refund' as fact, customer_key, refunded_date as fact_date from refunds
    union all
    select 'counted_phase' as fact, customer_key, start_date as fact_date from spans where basis = 'subscription' and span_number = 1
    union all
    select 'cancel_request' as fact, customer_key, request_date as fact_date from cancel_requests
{%- for column, family in families.items() if is_built(family[0]) %}
    union all
{%- if is_at_night() and family[0] in merged_facts() and family[0] not in var('new_models') %}
    select '{{ column }}' as fact, customer_key, fact_date from ({{ first_days_of_merged(family[0], family[1], family[2], column) }}) as first_days
{%- else %}
    select '{{ column }}' as fact, customer_key, min({{ family[1] }}) as fact_date from {{ fact(family[0]) }} {% if family[2] %}where {{ family[2] }} {% endif %}group by customer_key
{%- endif %}
{%- endfor %}
)

select
    customer_key,
    min(fact_date) as first_fact_date,
    min(case when fact in ('purchase', 'refund') then fact_date end) as first_order_fact_date,
    min(case when fact in ('counted_phase', 'cancel_request') then fact_date end) as first_subscription_fact_date
{%- for column in families %},
    min(case when fact = '{{ column }}' then fact_date end) as {{ column }}
{%- endfor %}
from facts
group by customer_key
