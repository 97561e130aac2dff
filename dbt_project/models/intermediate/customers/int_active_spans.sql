{{ config(materialized='by_customer') }}
{%- set window = var('activity_window_days') -%}
with purchase_days as (
    select * from {{ fact('int_purchase_days') }}
),

counted_phases as (
    select * from {{ fact('int_counted_phases') }}
),

order_starts as (
    select
        customer_key,
        purchase_date as start_date,
        lead(previous_date) over (partition by customer_key order by purchase_date nulls last) as last_purchase_date
    from purchase_days
    where previous_date is null
        or purchase_date > {{ add_days('previous_date', window) }}
),

last_days as (
    select
        customer_key,
        purchase_date
    from purchase_days
    where next_date is null
),

order_spans as (
    select
        order_starts.customer_key,
        order_starts.start_date,
        {{ add_days('coalesce(order_starts.last_purchase_date, last_days.purchase_date)', window) }} as end_date
    from order_starts
    inner join last_days
        on order_starts.customer_key = last_days.customer_key
),

subscription_spans as (
    {{ merged_spans('select customer_key, start_date, end_date from counted_phases') }}
),

customers_of_both as (
    select distinct order_spans.customer_key
    from order_spans
    inner join subscription_spans
        on order_spans.customer_key = subscription_spans.customer_key
),

any_spans as (
    {{ merged_spans('select customer_key, start_date, end_date from (select * from order_spans union all select * from subscription_spans) as both_spans'
        ~ ' where customer_key in (select customer_key from customers_of_both)') }}
),

spans as (
    select 'order' as basis, customer_key, start_date, end_date from order_spans
    union all
    select 'subscription' as basis, customer_key, start_date, end_date from subscription_spans
    union all
    select 'any' as basis, customer_key, start_date, end_date from any_spans
)

select
    spans.basis,
    spans.customer_key,
    cast(row_number() over (partition by spans.basis, spans.customer_key order by spans.start_date nulls last) as integer) as span_number,
    spans.start_date,
    spans.end_date,
    lag(spans.end_date) over (partition by spans.basis, spans.customer_key order by spans.start_date nulls last) as previous_end_date,
    lead(spans.start_date) over (partition by spans.basis, spans.customer_key order by spans.start_date nulls last) as next_start_date,
    customers_of_both.customer_key is null as is_only_basis
from spans
left join customers_of_both
    on spans.customer_key = customers_of_both.customer_key
