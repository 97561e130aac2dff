{{ config(materialized='contributions', flow_keys=['grain', 'period_start', 'segment_dimension', 'segment_value', 'reason']) }}
with calendar as (
    select * from {{ ref('int_calendar') }}
    where grain = {{ this_grain() }}
        and {{ after_history_start() }}
),

profiles as (
    {{ profiles_of_periods() }}
),

profile_values as (
    select * from {{ ref('int_profile_values') }}
),

opened_tickets as (
    select
        tickets.customer_key,
        calendar.period_start,
        tickets.reason
    from {{ fact('int_tickets') }} as tickets
    inner join calendar
        on tickets.opened_date = calendar.calendar_date
),

sums as (
    select
        opened_tickets.period_start,
        coalesce(profiles.profile_key, 0) as profile_key,
        opened_tickets.reason,
        count(*) as tickets
    from opened_tickets
    {{ join_profile('opened_tickets') }}
    group by
        opened_tickets.period_start,
        coalesce(profiles.profile_key, 0),
        opened_tickets.reason
),

flows as (
    {{ by_segment('sums', ['period_start', 'reason'], ['tickets']) }}
)

select
    cast({{ this_grain() }} as string) as grain,
    period_start,
    segment_dimension,
    segment_value,
    cast(reason as string) as reason,
    tickets
from flows
