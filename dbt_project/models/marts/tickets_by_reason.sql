{{ config(materialized='contributions', flow_keys=['grain', 'period_start', 'segment_dimension', 'segment_value', 'reason']) }}
with tickets as (
    select * from {{ fact('int_tickets') }}
),

{{ inputs_of_sums(calendar_of_shown_periods()) }},

{{ sums_of_facts('sums', 'tickets', 'opened_date', {'tickets': 'count(*)'}, keys=['reason']) }},

flows as (
    {{ by_segment('sums', ['grain', 'period_start', 'reason'], ['tickets']) }}
)

select
    cast(grain as string) as grain,
    period_start,
    segment_dimension,
    segment_value,
    cast(reason as string) as reason,
    tickets
from flows
