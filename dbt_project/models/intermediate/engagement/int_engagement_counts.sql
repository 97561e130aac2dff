{{ config(materialized='contributions', sums_rows=true, flow_keys=['grain', 'period_start', 'basis', 'segment_dimension', 'segment_value', 'active_days']) }}
with active_days as (
    select * from {{ fact('int_active_days') }}
),

{{ inputs_of_sums() }},

{# A day leaves the window of another mau_days after it. #}
days_left as (
    select
        customer_key,
        {{ add_days('active_date', var('mau_days')) }} as exit_date,
        days_after
    from active_days
    where active_date < {{ add_days(as_of(), -var('mau_days')) }}
),

{{ sums_of_facts('arrivals', 'active_days', 'active_date', {'days': 'count(*)'}, keys=['days_before']) }},

{{ sums_of_facts('exits', 'days_left', 'exit_date', {'days': 'count(*)'}, keys=['days_after']) }},

{# A day that comes takes its customer one level up, the same day mau_days later one level down. Days that come and leave at once take it down and up again. #}
levels as (
    select grain, period_start, profile_key, days_before + 1 as active_days, days as number from arrivals
    union all
    select grain, period_start, profile_key, days_before as active_days, -days as number from arrivals where days_before > 0
    union all
    select grain, period_start, profile_key, days_after + 1 as active_days, -days as number from exits
    union all
    select grain, period_start, profile_key, days_after as active_days, days as number from exits where days_after > 0
),

{{ active_at_changes() }},

moves as (
    select
        grain,
        period_start,
        mau_days as active_days,
        profile_before,
        profile_key,
        1 as number
    from active_at_changes
    where mau_days > 0
),

flows as (
    {{ by_segment('levels', ['grain', 'period_start', 'active_days'], ['number']) }}
),

moved as (
    {{ moves_by_segment('moves', ['grain', 'period_start', 'active_days'], ['number']) }}
)

select
    coalesce(flows.grain, moved.grain) as grain,
    coalesce(flows.period_start, moved.period_start) as period_start,
    'all' as basis,
    coalesce(flows.segment_dimension, moved.segment_dimension) as segment_dimension,
    coalesce(flows.segment_value, moved.segment_value) as segment_value,
    coalesce(flows.active_days, moved.active_days) as active_days,
    coalesce(flows.number, 0) as number_change,
    coalesce(moved.number_in, 0) as number_in,
    coalesce(moved.number_out, 0) as number_out
from flows
full outer join moved
    on flows.grain = moved.grain
    and flows.period_start = moved.period_start
    and flows.segment_dimension = moved.segment_dimension
    and flows.segment_value = moved.segment_value
    and flows.active_days = moved.active_days
