{%- if is_at_night() %}
select * from {{ previous('int_session_lengths') }}
where {{ is_due('int_session_lengths') }}
{%- else %}
select * from {{ no_rows_of('int_session_lengths') }} as nothing
{%- endif %}
