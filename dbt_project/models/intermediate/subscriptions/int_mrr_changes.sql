{{ config(materialized='by_customer') }}
with counted_phases as (
    select * from {{ fact('int_counted_phases') }}
),

steps as (
    select
        customer_key,
        currency,
        start_date as change_date,
        mrr as mrr_step,
        list_mrr as list_step
    from counted_phases
    union all
    select
        customer_key,
        currency,
        end_date as change_date,
        -mrr as mrr_step,
        -list_mrr as list_step
    from counted_phases
    where end_date < {{ last_day() }}
),

days as (
    select
        customer_key,
        currency,
        change_date,
        sum(mrr_step) as mrr_step,
        sum(list_step) as list_step
    from steps
    group by
        customer_key,
        currency,
        change_date
),

changes as (
    select *
    from days
    where mrr_step <> 0
        or list_step <> 0
),

{# The sum over currencies says only whether the customer pays at all; as an amount it has no meaning. #}
levels as (
    select
        customer_key,
        currency,
        change_date,
        mrr_step,
        list_step,
        sum(mrr_step) over (
            partition by customer_key, currency order by change_date nulls last rows unbounded preceding
        ) as mrr_after,
        sum(list_step) over (
            partition by customer_key, currency order by change_date nulls last rows unbounded preceding
        ) as list_after,
        lag(change_date, 1, {{ first_day() }}) over (
            partition by customer_key, currency order by change_date nulls last
        ) as previous_change_date,
        lead(change_date, 1, {{ last_day() }}) over (
            partition by customer_key, currency order by change_date nulls last
        ) as next_change_date,
        sum(mrr_step) over (
            partition by customer_key order by change_date nulls last range between unbounded preceding and current row
        ) as total_after,
        sum(mrr_step) over (partition by customer_key, change_date) as total_step,
        min(change_date) over (partition by customer_key) as first_change_date
    from changes
)

select
    customer_key,
    currency,
    change_date,
    cast(mrr_after - mrr_step as decimal(24, 6)) as mrr_before,
    cast(mrr_after as decimal(24, 6)) as mrr_after,
    cast(list_after - list_step as decimal(24, 6)) as list_before,
    cast(list_after as decimal(24, 6)) as list_after,
    previous_change_date,
    next_change_date,
    total_after - total_step > 0 as is_paying_before,
    total_after > 0 as is_paying_after,
    change_date = first_change_date as is_first_change
from levels
