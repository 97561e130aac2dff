{{ config(materialized='contributions', flow_keys=['grain', 'period_start', 'segment_dimension', 'segment_value', 'churn_class', 'end_reason']) }}
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

lost as (
    {{ lost_customers() }}
),

sums as (
    select
        lost.period_start,
        coalesce(profiles.profile_key, 0) as profile_key,
        lost.lost_class as churn_class,
        lost.lost_reason as end_reason,
        cast(count(*) as bigint) as customers_lost
    from lost
    {{ join_profile('lost') }}
    group by
        lost.period_start,
        coalesce(profiles.profile_key, 0),
        lost.lost_class,
        lost.lost_reason
),

flows as (
    {{ by_segment('sums', ['period_start', 'churn_class', 'end_reason'], ['customers_lost']) }}
)

select
    cast({{ this_grain() }} as string) as grain,
    period_start,
    segment_dimension,
    segment_value,
    cast(churn_class as string) as churn_class,
    cast(end_reason as string) as end_reason,
    customers_lost
from flows
