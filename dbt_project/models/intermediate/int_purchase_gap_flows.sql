{{ config(materialized='contributions', flow_keys=['grain', 'period_start', 'basis', 'segment_dimension', 'segment_value', 'gap_days']) }}
with purchase_days as (
    select * from {{ fact('int_purchase_days') }}
    where previous_date is not null
),

calendar as (
    select * from {{ ref('int_calendar') }}
    where grain = {{ this_grain() }}
),

profiles as (
    {{ profiles_of_periods() }}
),

gaps as (
    select
        purchase_days.customer_key,
        calendar.period_start,
        cast({{ days_between('purchase_days.previous_date', 'purchase_days.purchase_date') }} as integer) as gap_days
    from purchase_days
    inner join calendar
        on purchase_days.purchase_date = calendar.calendar_date
),

with_profile as (
    select
        gaps.period_start,
        gaps.gap_days,
        coalesce(profiles.profile_key, 0) as profile_key,
        1 as purchase_gaps
    from gaps
    {{ join_profile('gaps') }}
),

flows as (
    {{ rows_by_segment('with_profile', ['period_start', 'gap_days'], {'purchase_gaps': 'bigint'}) }}
)

select
    cast({{ this_grain() }} as string) as grain,
    period_start,
    'order' as basis,
    segment_dimension,
    segment_value,
    gap_days,
    purchase_gaps
from flows
