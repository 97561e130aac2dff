{{ config(materialized='by_customer') }}
{%- set loyal_days = var('loyal_purchase_days') %}
with orders as (
    {{ counted_orders() }}
),

days as (
    select
        customer_key,
        ordered_date as purchase_date,
        cast(count(*) as bigint) as orders,
        cast(sum(revenue) as decimal(38, 2)) as revenue
    from orders
    group by
        customer_key,
        ordered_date
),

numbered as (
    select
        customer_key,
        purchase_date,
        orders,
        revenue,
        cast(row_number() over in_order as integer) as day_number,
        lag(purchase_date) over in_order as previous_date,
        lead(purchase_date) over in_order as next_date,
        first_value(purchase_date) over in_order as first_date,
        cast(sum(revenue) over (partition by customer_key order by purchase_date nulls last rows unbounded preceding) as decimal(38, 2)) as revenue_to_date,
        cast(sum(orders) over (partition by customer_key order by purchase_date nulls last rows unbounded preceding) as bigint) - orders as orders_before,
        lag(purchase_date, {{ loyal_days - 1 }}) over in_order as loyal_since,
        lag(purchase_date, {{ loyal_days }}) over in_order as loyal_since_before
    from days
    window in_order as (partition by customer_key order by purchase_date nulls last)
),

{# From a day on its customer is loyal while it lies in the activity window and the day by which there were enough in the 365 days; the ends rise from day to day. #}
judged as (
    select
        *,
        least({{ add_days('purchase_date', var('activity_window_days')) }}, {{ add_days('loyal_since', 365) }}) as last_loyal_date,
        least({{ add_days('previous_date', var('activity_window_days')) }}, {{ add_days('loyal_since_before', 365) }}) as last_loyal_date_before
    from numbered
)

select
    customer_key,
    purchase_date,
    orders,
    revenue,
    day_number,
    previous_date,
    next_date,
    revenue_to_date,
    orders_before,
    cast({{ half_years('first_date', 'purchase_date') }} as integer) as half_years,
    coalesce({{ half_years('first_date', 'previous_date') }} <> {{ half_years('first_date', 'purchase_date') }}, true) as starts_half_year,
    coalesce(loyal_since is not null and last_loyal_date > purchase_date and (loyal_since_before is null or last_loyal_date_before < purchase_date), false) as starts_loyalty,
    case when loyal_since is not null and last_loyal_date > purchase_date then last_loyal_date end as loyal_until
from judged
