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
    periods.is_complete
from periods
cross join first_facts
where periods.period_end > first_facts.first_fact_date
    and {{ after_history_start('periods.period_end') }}
