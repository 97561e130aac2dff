{{ config(materialized='contributions', sums_rows=true, flow_keys=['grain', 'period_start', 'basis', 'segment_dimension', 'segment_value', 'duration_seconds']) }}
with session_lengths as (
    select * from {{ fact('int_session_lengths') }}
),

{{ inputs_of_sums(calendar_of_shown_periods()) }},

{{ sums_of_facts('lengths', 'session_lengths', 'active_date', {'events': 'sum(session_lengths.events)'}, keys=['duration_seconds']) }},

lengths_by_segment as (
    {{ by_segment('lengths', ['grain', 'period_start', 'duration_seconds'], ['events']) }}
)

select
    grain,
    period_start,
    'all' as basis,
    segment_dimension,
    segment_value,
    duration_seconds,
    events
from lengths_by_segment
