{%- do ref('night_causes') %}{% do ref('night_fx_days') %}{% do ref('int_identities') %}{% do source('raw', 'orders') %}{% do source('raw', 'customers') %}
{%- if not var('night') %}
select cast(null as bigint) as customer_key
where false
{%- else %}
with identities as (
    select * from {{ ref('int_identities') }}
),

identities_before as (
    select * from {{ previous('int_identities') }}
),

{# Customers who are somebody else tonight: both the one before and the one now. #}
merged as (
    select
        coalesce(identities.alias_key, identities_before.alias_key) as alias_key,
        identities.customer_key as customer_key_now,
        identities_before.customer_key as customer_key_before
    from identities
    full outer join identities_before
        on identities.alias_key = identities_before.alias_key
    where identities.customer_key is distinct from identities_before.customer_key
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

foreign_subscribers as (
    select distinct changes.customer_key
    from {{ previous('int_mrr_changes') }} as changes
    inner join changed_rates
        on changes.currency = changed_rates.currency
        and (changes.change_date = changed_rates.rate_date or {{ add_days('changes.change_date', -1) }} = changed_rates.rate_date)
    union
    select distinct terms.customer_key
    from {{ previous('int_terms') }} as terms
    inner join {{ previous('int_mrr_changes') }} as changes
        on terms.customer_key = changes.customer_key
    inner join changed_rates
        on changes.currency = changed_rates.currency
        and {{ add_days('terms.term_date', -1) }} = changed_rates.rate_date
    union
    select distinct changes.customer_key
    from {{ previous('int_mrr_changes') }} as changes
    inner join {{ previous('int_mrr_changes') }} as others
        on changes.customer_key = others.customer_key
    inner join changed_rates
        on others.currency = changed_rates.currency
        and (changes.change_date = changed_rates.rate_date or {{ add_days('changes.change_date', -1) }} = changed_rates.rate_date)
),

due as (
{%- for mark in marks() %}
    select customer_key
    from {{ previous(mark[0]) }}
    where {{ mark[1] }} >= {{ as_of(var('previous_as_of')) }}
        and {{ mark[1] }} < {{ as_of() }}
    union all
{%- endfor %}
    select _customer_key as customer_key
    from {{ source('raw', 'customers') }}
    where {{ (var('cohort_event') == 'signup') | lower }}
        and valid_from >= {{ add_days(as_of(var('previous_as_of')), -2) }}
        and valid_from < {{ add_days(as_of(), 2) }}
)

select customer_key from {{ ref('night_causes') }}
union
select alias_key as customer_key from merged
union
select customer_key_now as customer_key from merged where customer_key_now is not null
union
select customer_key_before as customer_key from merged where customer_key_before is not null
union
select customer_key from foreign_orders
union
select customer_key from foreign_subscribers
union
select customer_key from due
{%- endif %}
