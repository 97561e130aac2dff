{{ config(materialized='contributions', sums_rows=true, flow_keys=['grain', 'period_start', 'basis', 'segment_dimension', 'segment_value']) }}
{%- set windows = active_windows() %}
{%- set counts = ['active_days', 'active_customers', 'active_new', 'active_returning', 'wau_change', 'mau_change', 'yau_change', 'mau_days_change', 'index_days_change', 'session_events'] %}
{%- set types = {} %}
{%- for column in counts %}{% do types.update({column: 'bigint'}) %}{% endfor %}
{%- set moved_counts = ['wau', 'mau', 'yau', 'mau_days', 'index_days', 'active_before', 'customers_known'] %}
{%- set parts = activity_parts() %}
{%- do parts.update({
    'departures': {
        'facts': 'exits', 'day': 'exit_date',
        'measures': {'wau': 'sum(exits.wau)', 'mau': 'sum(exits.mau)', 'yau': 'sum(exits.yau)', 'mau_days': 'sum(exits.mau_days)'},
        'counts': {'wau_change': '-wau', 'mau_change': '-mau', 'yau_change': '-yau', 'mau_days_change': '-mau_days'}
    },
    'index_sums': {
        'facts': 'index_changes', 'day': 'change_date', 'measures': {'days': 'sum(index_changes.days)'}, 'counts': {'index_days_change': 'days'}
    }
}) %}
with active_days as (
    select * from {{ fact('int_active_days') }}
),

spans as (
    select
        customer_key,
        start_date,
        end_date,
        next_start_date
    from {{ fact('int_active_spans') }}
    where basis = 'any'
        or is_only_basis
),

session_lengths as (
    select * from {{ fact('int_session_lengths') }}
),

{# With the starts of the periods before, which a returning customer was active in. #}
{{ inputs_of_sums(calendar_with_previous(), calendar_of_days_with_previous()) }},

{# A day leaves each window, and with it the customer where no day has followed. What leaves from as_of on is left out before it is looked up: most of what a night brings. #}
exits as (
    select
        customer_key,
        {{ add_days('active_date', windows.mau) }} as exit_date,
        0 as wau,
        case when days_after = 0 then 1 else 0 end as mau,
        0 as yau,
        1 as mau_days
    from active_days
    where active_date < {{ add_days(as_of(), -windows.mau) }}
{%- for window in ['wau', 'yau'] %}
    union all
    select
        customer_key,
        {{ add_days('active_date', windows[window]) }} as exit_date,
        {{ 1 if window == 'wau' else 0 }} as wau,
        0 as mau,
        {{ 1 if window == 'yau' else 0 }} as yau,
        0 as mau_days
    from active_days
    where (next_date is null or next_date >= {{ add_days('active_date', windows[window]) }})
        and active_date < {{ add_days(as_of(), -windows[window]) }}
{%- endfor %}
),

{# An active day counts in the engagement index while it is in the window and its customer active in any basis. #}
index_days as (
    select
        active_days.customer_key,
        greatest(active_days.active_date, spans.start_date) as from_date,
        least({{ add_days('active_days.active_date', windows.mau) }}, spans.end_date) as to_date
    from active_days
    inner join spans
        on active_days.customer_key = spans.customer_key
        and spans.start_date < {{ add_days('active_days.active_date', windows.mau) }}
        and active_days.active_date < spans.end_date
),

index_changes as (
    select customer_key, from_date as change_date, 1 as days from index_days
    union all
    select customer_key, to_date as change_date, -1 as days from index_days
),

{{ sums_of_parts(parts) }},

sums as (
    {{ counts_of_parts(parts, types) }}
),

{{ active_at_changes() }},

moves as (
    select
        active_at_changes.grain,
        active_at_changes.period_start,
        active_at_changes.profile_before,
        active_at_changes.profile_key,
{%- for column, expression in activity_state('active_at_changes.period_start', 'active_at_changes.last_date', 'calendar.previous_start').items() %}
        {{ expression }} as {{ column }},
{%- endfor %}
        active_at_changes.mau_days,
        case when spans.end_date >= active_at_changes.period_start then active_at_changes.mau_days else 0 end as index_days,
        1 as customers_known
    from active_at_changes
    inner join calendar
        on active_at_changes.grain = calendar.grain
        and active_at_changes.period_start = calendar.calendar_date
    {{ join_last_before('active_at_changes', 'period_start', 'spans', 'start_date', 'next_start_date', side='left') }}
),

flows as (
    {{ by_segment('sums', ['grain', 'period_start'], counts, types) }}
),

moved as (
    {{ moves_by_segment('moves', ['grain', 'period_start'], moved_counts) }}
)

select
    coalesce(flows.grain, moved.grain) as grain,
    coalesce(flows.period_start, moved.period_start) as period_start,
    'all' as basis,
    coalesce(flows.segment_dimension, moved.segment_dimension) as segment_dimension,
    coalesce(flows.segment_value, moved.segment_value) as segment_value,
{%- for column in counts %}
    coalesce(flows.{{ column }}, 0) as {{ column }},
{%- endfor %}
{%- for column in moved_counts %}
    coalesce(moved.{{ column }}_in, 0) as {{ column }}_in,
    coalesce(moved.{{ column }}_out, 0) as {{ column }}_out{{ ',' if not loop.last }}
{%- endfor %}
from flows
full outer join moved
    on flows.grain = moved.grain
    and flows.period_start = moved.period_start
    and flows.segment_dimension = moved.segment_dimension
    and flows.segment_value = moved.segment_value
