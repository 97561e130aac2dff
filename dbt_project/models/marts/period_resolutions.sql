{{ config(materialized='contributions', flow_keys=['grain', 'period_start', 'basis', 'segment_dimension', 'segment_value', 'resolution_microseconds']) }}
{{ elapsed_histogram('resolved_date', 'resolution_microseconds') }}
