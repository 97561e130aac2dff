{{ config(post_hook=['create schema if not exists touched', 'create schema if not exists touched_before', 'create schema if not exists changed',
    'create schema if not exists differing', 'create schema if not exists differing_before', 'create schema if not exists replaceable', 'create schema if not exists whole']) }}
{%- do ref('night_causes') %}{% do ref('night_due') %}{% do ref('int_identities') %}{% do source('raw', 'customer_keys') %}
{%- if not var('night') %}
select cast(null as bigint) as customer_key
where false
{%- else %}
with {{ merged_identities() }}

select customer_key from {{ ref('night_causes') }}
union
select alias_key as customer_key from merged
union
select customer_key_now as customer_key from merged where customer_key_now is not null
union
select customer_key_before as customer_key from merged where customer_key_before is not null
union
select customer_key from {{ ref('night_due') }}
union
{# Ids that came without a row of the above: in a further dataset, or in a version that was replaced before any night saw it. Keys rise, and each is a customer's or an alias's. #}
select customer_key from {{ source('raw', 'customer_keys') }}
where customer_key > (
        select coalesce(max(known_key), 0)
        from (
            select max(customer_key) as known_key from {{ previous('int_customers') }}
            union all
            select max(alias_key) as known_key from {{ previous('int_identities') }}
        ) as known
    )
{%- endif %}
