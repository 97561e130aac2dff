{{ config(materialized='by_customer') }}
with purchase_days as (
    select * from {{ fact('int_purchase_days') }}
),

profile_spans as (
    select * from {{ fact('int_profile_spans') }}
    where rule = 'period'
),
{%- for grain in grains() %}

{{ grain }}_spans as (
    select customer_key, from_period, to_period, profile_key
    from profile_spans
    where grain = '{{ grain }}'
),
{%- endfor %}

movers as (
    select distinct customer_key
    from profile_spans
),

days as (
    select
        purchase_days.*
{%- for grain in grains() %},
        {{ period_start(grain, 'purchase_days.purchase_date') }} as {{ grain }}_start
{%- endfor %}
    from purchase_days
    inner join movers
        on purchase_days.customer_key = movers.customer_key
)

select
    days.customer_key,
    days.purchase_date,
    days.orders,
    days.revenue,
    days.day_number,
    days.previous_date,
    days.next_date,
    days.revenue_to_date,
    days.orders_before,
    days.half_years,
    days.starts_half_year,
    days.starts_loyalty,
    days.loyal_until
{%- for grain in grains() %},
    coalesce({{ grain }}_spans.profile_key, 0) as {{ grain }}_profile
{%- endfor %}
from days
{%- for grain in grains() %}
left join {{ grain }}_spans
    on days.customer_key = {{ grain }}_spans.customer_key
    and {{ grain }}_spans.from_period <= days.{{ grain }}_start
    and days.{{ grain }}_start < {{ grain }}_spans.to_period
{%- endfor %}
