{{ config(materialized='view') }}
{%- set own_columns = ['customer_id', 'first_active_day', 'tenure_days', 'is_active_order', 'is_active_subscription', 'is_active_any', 'mrr', 'last_purchase_day',
    'recency_days', 'purchase_days', 'net_revenue', 'r_score', 'f_score', 'm_score', 'rfm_group'] %}
with customers as (
    select * from {{ ref('int_customers') }}
),

active_spans as (
    select * from {{ ref('int_active_spans') }}
    where start_date < {{ as_of() }}
),

rfm_cut_points as (
    select * from {{ ref_if_built('rfm_cut_points') }}
),

profile_spans as (
    select * from {{ ref('int_profile_spans') }}
),

profile_values as (
    select * from {{ ref('int_profile_values') }}
),

states as (
    select
        customer_key,
        min(start_date) as first_active_day,
        max(case when basis = 'order' and {{ holds_at_as_of() }} then 1 else 0 end) = 1 as is_active_order,
        max(case when basis = 'subscription' and {{ holds_at_as_of() }} then 1 else 0 end) = 1 as is_active_subscription,
        max(case when {{ holds_at_as_of() }} then 1 else 0 end) = 1 as is_active_any
    from active_spans
    group by customer_key
),

mrr_of_customers as (
    {{ mrr_at_as_of() }}
),

last_days as (
    select
        customer_key,
        last_date,
        {{ days_between('last_date', as_of()) }} as recency_days,
        purchase_days,
        net_revenue
    from ({{ last_purchase_days(as_of()) }}) as last_purchases
),

cut_points as (
    select
{%- for measure in rfm_measures() %}
{%- set is_last = loop.last %}
{%- for number in range(1, 5) %}
        max(case when measure = '{{ measure }}' and quantile = 0.{{ 2 * number }} then value end) as {{ measure }}_{{ number }}{{ ',' if not (is_last and loop.last) }}
{%- endfor %}
{%- endfor %}
    from rfm_cut_points
),

scores as (
    select
        last_days.customer_key,
        last_days.last_date,
        last_days.recency_days,
        last_days.purchase_days,
        last_days.net_revenue,
        5 - {{ cuts_below('recency_days') }} as r_score,
        1 + {{ cuts_below('purchase_days') }} as f_score,
        1 + {{ cuts_below('net_revenue') }} as m_score
    from last_days
    cross join cut_points
),

profiles as (
    select
        customer_key,
        profile_key
    from profile_spans
    where rule = 'any'
        or (rule = 'period' and grain = 'month' and from_period <= {{ profile_month() }} and {{ profile_month() }} < to_period)
),

segments as (
    select
{%- for dimension in var('segments') %}
        max(case when segment_dimension = '{{ dimension }}' then segment_value end) as {{ dimension }},
{%- endfor %}
        profile_key
    from profile_values
    group by profile_key
)

select
    customers.customer_id,
    states.first_active_day,
    cast({{ days_between('states.first_active_day', as_of()) }} as integer) as tenure_days,
    states.is_active_order,
    states.is_active_subscription,
    states.is_active_any,
    coalesce(mrr_of_customers.mrr, cast(0 as decimal(38, 6))) as mrr,
    scores.last_date as last_purchase_day,
    cast(scores.recency_days as integer) as recency_days,
    scores.purchase_days,
    scores.net_revenue,
    scores.r_score,
    scores.f_score,
    scores.m_score,
    case
        when scores.r_score is null then null
        when scores.r_score >= 4 and scores.f_score >= 4 then 'champions'
        when scores.r_score >= 3 and scores.f_score >= 3 then 'loyal'
        when scores.r_score >= 4 then 'promising'
        when scores.r_score = 3 then 'needs_attention'
        when scores.f_score >= 3 then 'slipping'
        else 'lapsed'
    end as rfm_group
{#- A dimension that bears the name of another column of this table is told apart. -#}
{%- for dimension in var('segments') %},
    segments.{{ dimension }}{% if dimension | lower in own_columns %} as {{ dimension }}_segment{% endif %}
{%- endfor %}
from states
inner join customers
    on states.customer_key = customers.customer_key
left join mrr_of_customers
    on states.customer_key = mrr_of_customers.customer_key
left join scores
    on states.customer_key = scores.customer_key
left join profiles
    on states.customer_key = profiles.customer_key
left join segments
    on coalesce(profiles.profile_key, 0) = segments.profile_key
