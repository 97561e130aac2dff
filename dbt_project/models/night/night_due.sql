{#- What the calendar and the rates touch, and in which fact; the sums of a model need only those of its facts. -#}
{%- do ref('night_fx_days') %}{% do ref('int_identities') %}{% do source('raw', 'orders') %}{% do source('raw', 'customers') %}{% do source('raw', 'customers_history') %}
{%- if not var('night') %}
select
    cast(null as bigint) as customer_key,
    cast(null as string) as fact
where false
{%- else %}
with identities as (
    select * from {{ ref('int_identities') }}
),

{# Customers with money in a currency whose rate changed for a day that they need. #}
changed_rates as (
    select * from {{ ref('night_fx_days') }}
),

foreign_orders as (
    select coalesce(identities.customer_key, orders._customer_key, 0) as customer_key
    from {{ source('raw', 'orders') }} as orders
    inner join (
        select
            currency,
            min(rate_date) as first_date,
            max(rate_date) as last_date
        from changed_rates
        group by currency
    ) as spells
        on orders.currency = spells.currency
        and orders.ordered_at >= {{ add_days('spells.first_date', -1) }}
        and orders.ordered_at < {{ add_days('spells.last_date', 2) }}
    left join identities
        on orders._customer_key = identities.alias_key
),

foreign_customers as (
    select distinct
        customer_key,
        currency
    from {{ previous('int_mrr_changes') }}
    where currency in (select currency from changed_rates)
),

{# A change is also valued at the eve of its period, which for a year lies up to 366 days before. #}
foreign_dates as (
    select customer_key, change_date as from_date, change_date as to_date, 366 as days_before from {{ previous('int_mrr_changes') }}
    union all
    select customer_key, start_date as from_date, end_date as to_date, 1 as days_before from {{ previous('int_counted_phases') }}
    union all
    select customer_key, term_date as from_date, term_date as to_date, 1 as days_before from {{ previous('int_terms') }}
    union all
    select customer_key, from_period as from_date, from_period as to_date, 1 as days_before from {{ previous('int_profile_spans') }}
    where rule <> 'any'
),

foreign_subscribers as (
    select distinct foreign_customers.customer_key
    from foreign_customers
    inner join foreign_dates
        on foreign_customers.customer_key = foreign_dates.customer_key
    inner join changed_rates
        on foreign_customers.currency = changed_rates.currency
        and (
            ({{ days_between('changed_rates.rate_date', 'foreign_dates.from_date') }} >= 0
                and {{ days_between('changed_rates.rate_date', 'foreign_dates.from_date') }} <= foreign_dates.days_before)
            or ({{ days_between('changed_rates.rate_date', 'foreign_dates.to_date') }} >= 0
                and {{ days_between('changed_rates.rate_date', 'foreign_dates.to_date') }} <= foreign_dates.days_before)
        )
),

{# A term may be renewed by the phase of another customer, where a subscription has changed hands; it is valued at the eve of the term. #}
foreign_terms as (
    select distinct terms.customer_key
    from {{ previous('int_terms') }} as terms
    inner join {{ previous('int_counted_phases') }} as phases
        on terms.subscription_id = phases.subscription_id
        and terms.customer_key <> phases.customer_key
    inner join changed_rates
        on phases.currency = changed_rates.currency
        and changed_rates.rate_date = {{ add_days('terms.term_date', -1) }}
),

due as (
{# Of merged facts sums look for the rows themselves. #}
{%- for mark in marks() if mark[0] not in merged_facts() %}
    select
        customer_key,
        '{{ mark[0] }}' as fact
    from {{ previous(mark[0]) }}
    where {{ mark[1] }}
    union all
{%- endfor %}
    select
        _customer_key as customer_key,
        'int_cohort_members' as fact
    from (
        select _customer_key, coalesce(valid_from, _loaded_at) as moment from {{ source('raw', 'customers') }}
        union all
        select _customer_key, _loaded_at as moment from {{ source('raw', 'customers_history') }} where valid_from is null
    ) as sign_ups
    where {{ (var('cohort_event') == 'signup') | lower }}
        and moment >= {{ add_days(as_of(var('previous_as_of')), -2) }}
        and moment < {{ add_days(as_of(), 2) }}
)

select distinct
    customer_key,
    fact
from (
    select customer_key, fact from due
    union all
    select customer_key, 'int_fx_rates' as fact from foreign_orders
    union all
    select customer_key, 'int_fx_rates' as fact from foreign_subscribers
    union all
    select customer_key, 'int_fx_rates' as fact from foreign_terms
) as touched
{%- endif %}
