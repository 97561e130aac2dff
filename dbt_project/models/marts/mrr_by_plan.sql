{{ config(materialized='by_grain') }}
with plan_flows as (
    select * from {{ ref('int_plan_flows') }}
    where grain = {{ this_grain() }}
),

periods as (
    select * from {{ ref('int_periods') }}
    where grain = {{ this_grain() }}
),

fx_rates as (
    select * from {{ ref('int_fx_rates') }}
),

levels as (
    select
        plan,
        currency,
        mrr,
        period_start as from_period,
        lead(period_start, 1, {{ last_day() }}) over (partition by plan, currency, mrr order by period_start nulls last) as to_period,
        cast(sum(phases) over (
            partition by plan, currency, mrr order by period_start nulls last rows unbounded preceding
        ) as bigint) as phases
    from plan_flows
)

select
    cast({{ this_grain() }} as string) as grain,
    periods.period_start,
    levels.plan,
    cast(sum(levels.phases) as bigint) as phases_end,
    cast(
        sum({{ mrr_to_reporting('levels.mrr', 'levels.currency', 'fx_rates.rate') }} * levels.phases) as decimal(38, 6)
    ) as mrr_end
from levels
inner join periods
    on periods.period_start >= levels.from_period
    and periods.period_start < levels.to_period
left join fx_rates
    on levels.currency = fx_rates.currency
    and fx_rates.rate_date = {{ add_days('periods.close_date', -1) }}
where levels.phases <> 0
    and {{ after_history_start('periods.period_end') }}
group by
    periods.period_start,
    levels.plan
