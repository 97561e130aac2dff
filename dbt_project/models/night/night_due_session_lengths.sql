{%- if not is_at_night() %}
select
    cast(null as bigint) as customer_key,
    cast(null as date) as active_date,
    cast(null as decimal(18, 3)) as duration_seconds,
    cast(null as bigint) as events
where false
{%- else %}
select * from main.int_session_lengths
where {{ is_due('int_session_lengths') }}
{%- endif %}
