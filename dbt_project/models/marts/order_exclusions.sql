with excluded_orders as (
    select * from {{ ref('int_excluded_orders') }}
),

calendar as (
    select * from {{ ref('int_calendar') }}
)

select
    calendar.grain,
    calendar.period_start,
    excluded_orders.exclusion_reason,
    cast(sum(excluded_orders.orders) as bigint) as orders,
    cast(sum(excluded_orders.amount) as decimal(38, 2)) as amount
from excluded_orders
inner join calendar
    on excluded_orders.ordered_date = calendar.calendar_date
where {{ after_history_start('calendar.period_end') }}
group by
    calendar.grain,
    calendar.period_start,
    excluded_orders.exclusion_reason
