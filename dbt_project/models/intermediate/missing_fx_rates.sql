with orders as (
    {{ resolved_orders() }}
)

select
    'orders' as dataset,
    currency,
    ordered_date as rate_date,
    cast(count(*) as bigint) as affected_rows
from orders
where currency <> '{{ var("reporting_currency") }}'
    and rate is null
    and (exclusion_reason is null or (refund <> 0 and not is_test))
    and ordered_date < {{ as_of() }}
group by
    currency,
    ordered_date
