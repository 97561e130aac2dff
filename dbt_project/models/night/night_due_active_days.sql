{%- if is_at_night() %}
select * from {{ previous('int_active_days') }}
where {{ is_due('int_active_days') }}
{%- else %}
select * from {{ no_rows_of('int_active_days') }} as nothing
{%- endif %}
