{#- A night merges what came into the facts; of customers of whom events went, or who are somebody else tonight, it reads all of them. -#}
{%- do ref('night_touched_keys') %}{% do ref('night_event_days') %}{# Of what is made of them, by sums. #}{% do ref('night_due_active_days') %}{% do ref('night_due_session_lengths') %}
with events as (
    select * from {{ source('raw', 'events') }}
    where {{ has_dataset('events') | lower }}
{%- if is_at_night() %}
        and _load_id > {{ var('applied_load_id') }}
    union all
    select * from {{ source('raw', 'events') }}
    where _load_id <= {{ var('applied_load_id') }}
        and _customer_key in (
            select keys.raw_key
            from main.night_touched_keys as keys
            inner join main.night_event_days as days
                on keys.customer_key = days.customer_key
            where days.is_read_again
        )
{%- endif %}
)

select
    events.event_id,
    events._customer_key as customer_key,
    {{ business_day_of_many('events', 'occurred_at') }} as occurred_date,
    {{ instant('events.occurred_at') }} as occurred_at,
    events.event,
    events.duration_seconds,
    events._load_id as load_id
from events
{{ join_utc_days('events', 'occurred_at') }}
