{{ config(materialized='by_customer') }}
{%- set last_day = add_days('units.unit_date', var('email_window_days')) %}
{%- set first_days = {
    'opened_date': "events.event = 'opened' and not events.is_machine",
    'opened_raw_date': "events.event = 'opened'",
    'clicked_date': "events.event = 'clicked' and not events.is_machine",
    'bounced_date': "events.event = 'bounced' and " ~ (var('email_unit') == 'sent') | lower
} %}
with emails as (
    select * from {{ ref('stg_emails') }}
    where {{ is_since_data_start('occurred_date') }}
),

identities as (
    select * from {{ ref('int_identities') }}
),

events as (
    select
        emails.message_id,
        coalesce(identities.customer_key, emails.customer_key, 0) as customer_key,
        emails.event,
        emails.occurred_date,
        emails.is_machine
    from emails
    left join identities
        on emails.customer_key = identities.alias_key
),

units as (
    select
        message_id,
        customer_key,
        min(occurred_date) as unit_date
    from events
    where event = '{{ var("email_unit") }}'
    group by
        message_id,
        customer_key
)

select
    units.message_id,
    units.customer_key,
    units.unit_date,
{%- for column, condition in first_days.items() %}
    min(case when {{ condition }} then events.occurred_date end) as {{ column }}{{ ',' if not loop.last }}
{%- endfor %}
from units
left join events
    on units.message_id = events.message_id
    and units.customer_key = events.customer_key
    and events.occurred_date >= units.unit_date
    and events.occurred_date <= {{ last_day }}
group by
    units.message_id,
    units.customer_key,
    units.unit_date
