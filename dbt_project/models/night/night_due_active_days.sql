{%- do ref('int_calendar') %}
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
{#- Of each day it is asked once whether it is due, not of each customer's. Read where the night has not replaced anything yet, so that it has these blocks in memory when it looks for what it replaces. -#}
select * from main.int_active_days
where active_date in (
        select active_date from (
            select calendar_date as active_date from {{ ref('int_calendar') }}
            where grain = '{{ grains() | first }}'
        ) as days
        where {{ is_due('int_active_days') }}
    )
{%- endif %}
