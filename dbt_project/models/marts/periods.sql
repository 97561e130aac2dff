with periods as (
    select * from {{ ref('int_periods') }}
),

first_facts as (
    select min(first_fact_date) as first_fact_date
    from (
        select first_fact_date from {{ ref('int_first_facts') }}
        union all
        select cost_month as first_fact_date from {{ ref('int_acquisition_costs') }}
    ) as facts
)

select
    periods.grain,
    periods.period_start,
    periods.period_end,
    periods.close_date,
    periods.is_complete,
{%- if var('close_after_days') is none %}
    'open' as state
{%- else %}
    case when {{ add_days('periods.period_end', var('close_after_days')) }} <= {{ as_of() }} then 'closed' else 'open' end as state
{%- endif %}
from periods
cross join first_facts
where periods.period_end > first_facts.first_fact_date
    and {{ after_history_start('periods.period_end') }}
