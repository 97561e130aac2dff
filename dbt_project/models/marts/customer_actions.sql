{%- set actions = var('actions') %}
{%- set renewal_days = actions.get('renewal_due', 0) %}
with customers as (
    select * from {{ ref('int_customers') }}
),

tickets as (
    select * from {{ ref_if_built('int_tickets') }}
),

invoices as (
    select * from {{ ref_if_built('int_invoices') }}
),

counted_phases as (
    select * from {{ ref_if_built('int_counted_phases') }}
    where {{ holds_at_as_of() }}
),

last_days as (
    {{ last_purchase_days(as_of()) }}
),

reminders as (
    select
        customer_key,
        ticket_id as subject,
        {{ add_days('opened_date', actions.get('ticket_reminder', 0)) }} as due_on
    from tickets
    where opened_date < {{ as_of() }}
        and (resolved_date is null or resolved_date >= {{ as_of() }})
        and {{ add_days('opened_date', actions.get('ticket_reminder', 0)) }} <= {{ as_of() }}
),

follow_ups as (
    select
        customer_key,
        cast(last_date as string) as subject,
        {{ add_days('last_date', actions.get('purchase_follow_up', 0)) }} as due_on
    from last_days
),

failures as (
    select
        customer_key,
        invoice_id as subject,
        {{ add_days('attempted_date', actions.get('payment_failed', 0)) }} as due_on
    from invoices
    where is_failed
        and (succeeded_date is null or succeeded_date >= {{ as_of() }})
        and attempted_date >= {{ add_days(as_of(), -var('payment_recovery_days')) }}
        and attempted_date < {{ as_of() }}
),

term_phases as (
    select
        *,
        cast({{ term_months('billing_interval', 'interval_count') }} as integer) as months,
        cast({{ term_days('billing_interval', 'interval_count') }} as integer) as days
    from counted_phases
    where {{ is_renewed_by_term('billing_interval', 'interval_count') }}
),

{# Term numbers that could fall within the days ahead, one too many on either side. #}
numbered as (
    select
        *,
        {{ term_number('anchor_date', as_of(), 'months', 'days') }} - 1 as first_number,
        {{ term_number('anchor_date', add_days(as_of(), renewal_days), 'months', 'days') }} + 2 as last_number
    from term_phases
),

term_ends as (
    select
        numbered.customer_key,
        numbered.subscription_id as subject,
        numbered.end_date,
        {{ moved_by_terms('numbered.anchor_date', '(numbered.first_number + numbers.n)', 'numbered.months', 'numbered.days') }} as due_on
    from numbered
    inner join {{ numbers(renewal_days + 4) }} as numbers
        on numbers.n <= numbered.last_number - numbered.first_number
),

renewals as (
    select
        customer_key,
        subject,
        due_on
    from term_ends
    where due_on >= {{ as_of() }}
        and due_on < {{ add_days(as_of(), renewal_days) }}
        and due_on <= end_date
),

listed as (
    select customer_key, 'ticket_reminder' as action, subject, due_on from reminders
    union all
    select customer_key, 'purchase_follow_up' as action, subject, due_on from follow_ups
    where due_on >= {{ add_days(as_of(), -7) }}
        and due_on <= {{ as_of() }}
    union all
    select customer_key, 'payment_failed' as action, subject, due_on from failures
    union all
    select customer_key, 'renewal_due' as action, subject, due_on from renewals
)

{# A payment without an invoice may bear the id of one: distinct. #}
select distinct
    customers.customer_id,
    cast(listed.action as string) as action,
    cast(listed.subject as string) as subject,
    listed.due_on
from listed
inner join customers
    on listed.customer_key = customers.customer_key
where listed.action in ('{{ actions | list | join("', '") }}')
