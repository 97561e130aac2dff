{{ config(materialized='contributions', flow_keys=['grain', 'period_start', 'segment_dimension', 'segment_value', 'failure_reason']) }}
{%- set measures = {'invoices': 'count(*)', 'recovered': count_where(is_recovered('failed_invoices'))} %}
with failed_invoices as (
    select * from {{ fact('int_invoices') }}
    where is_failed
),

{{ inputs_of_sums(calendar_of_shown_periods()) }},

{{ sums_of_facts('sums', 'failed_invoices', 'attempted_date', measures, keys=['failure_reason']) }},

flows as (
    {{ by_segment('sums', ['grain', 'period_start', 'failure_reason'], measures | list) }}
)

select
    cast(grain as string) as grain,
    period_start,
    segment_dimension,
    segment_value,
    cast(failure_reason as string) as failure_reason,
    invoices,
    recovered
from flows
