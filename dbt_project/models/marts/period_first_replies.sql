{{ config(materialized='contributions', flow_keys=['grain', 'period_start', 'basis', 'segment_dimension', 'segment_value', 'reply_microseconds']) }}
{{ elapsed_histogram('first_reply_date', 'reply_microseconds') }}
