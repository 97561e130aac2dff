{%- if not is_at_night() %}
select
    cast(null as bigint) as customer_key,
    cast(null as date) as active_date,
    cast(null as integer) as day_number,
    cast(null as date) as previous_date,
    cast(null as date) as next_date,
    cast(null as integer) as days_before,
    cast(null as integer) as days_after
where false
{%- else %}
select * from {{ previous('int_active_days') }}
where {{ is_due('int_active_days') }}
{%- endif %}
