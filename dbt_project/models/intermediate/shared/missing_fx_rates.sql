with orders as (
    {{ resolved_orders() }}
),

acquisition_costs as (
    select * from {{ ref('stg_acquisition_costs') }}
),

fx_rates as (
    select * from {{ ref('int_fx_rates') }}
),

{# An order counts by its own day, a refund by the day on which it came. #}
needed as (
    select
        currency,
        ordered_date
    from orders
    where currency <> '{{ var("reporting_currency") }}'
        and rate is null
        and ordered_date < {{ as_of() }}
        and (
            (exclusion_reason is null and {{ is_since_data_start('ordered_date') }})
            or (
                refund <> refund_rows
                and not is_test
                and {{ is_since_data_start('refunded_date') }}
                and refunded_date < {{ as_of() }}
            )
            or (
                refund_rows <> 0
                and not is_test
                and order_id in (
                    select order_id from {{ ref('stg_refunds') }}
                    where {{ is_since_data_start('refunded_date') }}
                        and refunded_date < {{ as_of() }}
                )
            )
        )
)

select
    'orders' as dataset,
    currency,
    ordered_date as rate_date,
    cast(count(*) as bigint) as affected_rows
from needed
group by
    currency,
    ordered_date
union all
select
    'acquisition_costs' as dataset,
    acquisition_costs.currency,
    acquisition_costs.cost_month as rate_date,
    cast(count(*) as bigint) as affected_rows
from acquisition_costs
left join fx_rates
    on acquisition_costs.currency = fx_rates.currency
    and acquisition_costs.cost_month = fx_rates.rate_date
where acquisition_costs.currency <> '{{ var("reporting_currency") }}'
    and fx_rates.rate is null
    and acquisition_costs.cost_month < {{ as_of() }}
    and acquisition_costs.cost_month >= {{ truncated('month', data_start()) }}
group by
    acquisition_costs.currency,
    acquisition_costs.cost_month
