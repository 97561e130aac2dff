{{ config(materialized='by_customer') }}
with changes as (
    select * from {{ fact('int_mrr_changes') }}
    where change_date < {{ as_of() }}
),

fx_rates as (
    select * from {{ ref('int_fx_rates') }}
),

days as (
    select
        changes.customer_key,
        changes.change_date,
        changes.is_first_change,
        changes.is_paying_before,
        changes.is_paying_after,
        sum({{ mrr_to_reporting('changes.mrr_after', 'changes.currency', 'fx_rates.rate') }}
            - {{ mrr_to_reporting('changes.mrr_before', 'changes.currency', 'fx_rates.rate') }}) as amount
    from changes
    left join fx_rates
        on changes.currency = fx_rates.currency
        and changes.change_date = fx_rates.rate_date
    where changes.mrr_before <> changes.mrr_after
    group by
        changes.customer_key,
        changes.change_date,
        changes.is_first_change,
        changes.is_paying_before,
        changes.is_paying_after
),

labelled as (
    select
        customer_key,
        change_date,
        case
            when is_first_change then 'new'
            when not is_paying_before then 'reactivation'
            when not is_paying_after then 'churn'
            when amount > 0 then 'expansion'
            when amount < 0 then 'contraction'
        end as movement,
        amount
    from days
)

select
    customer_key,
    change_date as movement_date,
    cast(movement as string) as movement,
    cast(amount as decimal(38, 6)) as amount
from labelled
where movement is not null
