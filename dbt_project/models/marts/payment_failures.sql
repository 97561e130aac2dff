{{ config(materialized='contributions', flow_keys=['grain', 'period_start', 'segment_dimension', 'segment_value', 'failure_reason']) }}
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

failed_invoices as (
    select
        invoices.customer_key,
        calendar.period_start,
        invoices.failure_reason,
        case when {{ is_recovered('invoices') }} then 1 else 0 end as recovered
    from {{ fact('int_invoices') }} as invoices
    inner join calendar
        on invoices.attempted_date = calendar.calendar_date
    where invoices.is_failed
),

sums as (
    select
        failed_invoices.period_start,
        coalesce(profiles.profile_key, 0) as profile_key,
        failed_invoices.failure_reason,
        count(*) as invoices,
        sum(failed_invoices.recovered) as recovered
    from failed_invoices
    {{ join_profile('failed_invoices') }}
    group by
        failed_invoices.period_start,
        coalesce(profiles.profile_key, 0),
        failed_invoices.failure_reason
),

flows as (
    {{ by_segment('sums', ['period_start', 'failure_reason'], ['invoices', 'recovered']) }}
)

select
    cast({{ this_grain() }} as string) as grain,
    period_start,
    segment_dimension,
    segment_value,
    cast(failure_reason as string) as failure_reason,
    invoices,
    recovered
from flows
