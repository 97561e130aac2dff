{{ config(materialized='contributions', flow_keys=['grain', 'period_start', 'basis', 'segment_dimension', 'segment_value']) }}
{%- set horizons = [30, 60, 90, 180, 365] %}
{%- set counts = ['orders', 'ordering_customers', 'new_customer_orders', 'repeat_customers', 'returning_customers', 'first_time_buyers', 'second_time_buyers',
    'repurchased_30d', 'repurchased_60d', 'repurchased_90d', 'repurchased_180d', 'repurchased_365d', 'purchase_gaps', 'purchase_gap_days',
    'buyers_365d_change', 'customers_known_change', 'guest_facts'] %}
{%- set amounts = ['order_revenue', 'new_customer_revenue', 'refunds_by_refund_date', 'revenue_365d_change'] %}
{%- set types = {} %}
{%- for column in counts %}{% do types.update({column: 'bigint'}) %}{% endfor %}
{%- for column in amounts %}{% do types.update({column: 'decimal(38, 2)'}) %}{% endfor %}
{%- set moved_counts = ['buyers', 'repeat_buyers', 'buyers_365d', 'customers_known'] %}
{%- set moved_amounts = ['revenue', 'revenue_365d'] %}
{%- set moved_types = {} %}
{%- for column in moved_counts %}{% do moved_types.update({column: 'bigint'}) %}{% endfor %}
{%- for column in moved_amounts %}{% do moved_types.update({column: 'decimal(38, 2)'}) %}{% endfor %}
with purchase_days as (
    select * from {{ fact('int_purchase_days') }}
),

refunds as (
    select * from {{ fact('int_refunds') }}
),

first_facts as (
    select * from {{ fact('int_first_facts') }}
    where first_order_fact_date is not null
),

calendar as (
    select * from {{ ref('int_calendar') }}
    where grain = {{ this_grain() }}
),

profiles as (
    {{ profiles_of_periods() }}
),

profile_values as (
    select * from {{ ref('int_profile_values') }}
),

{# A purchase day knows by its neighbours whether it is the customer's first in the period, and whether another follows in it. #}
days as (
    select
        purchase_days.customer_key,
        calendar.period_start,
        purchase_days.orders,
        purchase_days.revenue,
        purchase_days.day_number,
        purchase_days.previous_date is null or purchase_days.previous_date < calendar.period_start as is_first_in_period,
        coalesce(purchase_days.next_date < calendar.close_date, false) as is_followed_in_period,
        case when purchase_days.previous_date is null then 0 else 1 end as has_gap,
        case when purchase_days.previous_date is null then 0
            else {{ days_between('purchase_days.previous_date', 'purchase_days.purchase_date') }} end as gap_days,
        case when purchase_days.previous_date is null or purchase_days.purchase_date > {{ add_days('purchase_days.previous_date', 365) }} then 1 else 0 end as starts_365d
    from purchase_days
    inner join calendar
        on purchase_days.purchase_date = calendar.calendar_date
),

purchases as (
    select
        days.period_start,
        coalesce(profiles.profile_key, 0) as profile_key,
        sum(days.orders) as orders,
        sum(days.revenue) as order_revenue,
        sum(case when days.is_first_in_period then 1 else 0 end) as ordering_customers,
        sum(case when days.day_number = 1 then days.orders else 0 end) as new_customer_orders,
        sum(case when days.day_number = 1 then days.revenue else 0 end) as new_customer_revenue,
        sum(case when days.is_first_in_period and days.is_followed_in_period then 1 else 0 end) as repeat_customers,
        sum(case when days.is_first_in_period then 1 else 0 end)
            - sum(case when days.day_number = 1 and not days.is_followed_in_period then 1 else 0 end) as returning_customers,
        sum(case when days.day_number = 1 then 1 else 0 end) as first_time_buyers,
        sum(case when days.day_number = 2 then 1 else 0 end) as second_time_buyers,
        sum(days.has_gap) as purchase_gaps,
        sum(days.gap_days) as purchase_gap_days,
        sum(days.starts_365d) as buyers_365d_change,
        sum(days.revenue) as revenue_365d_change
    from days
    {{ join_profile('days') }}
    group by
        days.period_start,
        coalesce(profiles.profile_key, 0)
),

{# A second purchase counts in the period of the first one. #}
second_purchases as (
    select
        purchase_days.customer_key,
        first_calendar.period_start,
        {{ days_between('purchase_days.previous_date', 'purchase_days.purchase_date') }} as gap_days
    from purchase_days
    inner join calendar as first_calendar
        on purchase_days.previous_date = first_calendar.calendar_date
    where purchase_days.day_number = 2
        and purchase_days.purchase_date < {{ as_of() }}
),

repurchases as (
    select
        second_purchases.period_start,
        coalesce(profiles.profile_key, 0) as profile_key,
{%- for horizon in horizons %}
        sum(case when second_purchases.gap_days <= {{ horizon }} then 1 else 0 end) as repurchased_{{ horizon }}d{{ ',' if not loop.last }}
{%- endfor %}
    from second_purchases
    {{ join_profile('second_purchases') }}
    where second_purchases.gap_days <= {{ horizons | max }}
    group by
        second_purchases.period_start,
        coalesce(profiles.profile_key, 0)
),

{# What leaves the look-back of 365 days: the day's revenue, and the customer where no purchase has followed. #}
expiring_days as (
    select
        purchase_days.customer_key,
        calendar.period_start,
        purchase_days.revenue,
        case when purchase_days.next_date is null or purchase_days.next_date > calendar.calendar_date then 1 else 0 end as ends_365d
    from purchase_days
    inner join calendar
        on {{ add_days('purchase_days.purchase_date', 365) }} = calendar.calendar_date
),

expiries as (
    select
        expiring_days.period_start,
        coalesce(profiles.profile_key, 0) as profile_key,
        -sum(expiring_days.ends_365d) as buyers_365d_change,
        -sum(expiring_days.revenue) as revenue_365d_change
    from expiring_days
    {{ join_profile('expiring_days') }}
    group by
        expiring_days.period_start,
        coalesce(profiles.profile_key, 0)
),

refund_days as (
    select
        refunds.customer_key,
        calendar.period_start,
        refunds.refunded
    from refunds
    inner join calendar
        on refunds.refunded_date = calendar.calendar_date
),

refunded as (
    select
        refund_days.period_start,
        coalesce(profiles.profile_key, 0) as profile_key,
        sum(refund_days.refunded) as refunds_by_refund_date,
        sum(case when refund_days.customer_key = 0 then 1 else 0 end) as guest_facts
    from refund_days
    {{ join_profile('refund_days') }}
    group by
        refund_days.period_start,
        coalesce(profiles.profile_key, 0)
),

first_fact_days as (
    select
        first_facts.customer_key,
        calendar.period_start
    from first_facts
    inner join calendar
        on first_facts.first_order_fact_date = calendar.calendar_date
),

first_known as (
    select
        first_fact_days.period_start,
        coalesce(profiles.profile_key, 0) as profile_key,
        count(*) as customers_known_change
    from first_fact_days
    {{ join_profile('first_fact_days') }}
    group by
        first_fact_days.period_start,
        coalesce(profiles.profile_key, 0)
),

sums as (
{%- set parts = {
    'purchases': ['orders', 'order_revenue', 'ordering_customers', 'new_customer_orders', 'new_customer_revenue', 'repeat_customers', 'returning_customers',
        'first_time_buyers', 'second_time_buyers', 'purchase_gaps', 'purchase_gap_days', 'buyers_365d_change', 'revenue_365d_change'],
    'repurchases': ['repurchased_30d', 'repurchased_60d', 'repurchased_90d', 'repurchased_180d', 'repurchased_365d'],
    'expiries': ['buyers_365d_change', 'revenue_365d_change'],
    'refunded': ['refunds_by_refund_date', 'guest_facts'],
    'first_known': ['customers_known_change']
} %}
{%- for part, columns in parts.items() %}
    select
        period_start,
        profile_key,
{%- for column in counts + amounts %}
        cast({{ column if column in columns else 0 }} as {{ types[column] }}) as {{ column }}{{ ',' if not loop.last }}
{%- endfor %}
    from {{ part }}
    {% if not loop.last %}union all{% endif %}
{%- endfor %}
),

profile_changes as (
    {{ profile_changes() }}
),

moves_of_buyers as (
    select
        profile_changes.period_start,
        profile_changes.profile_before,
        profile_changes.profile_key,
        1 as buyers,
        max(case when purchase_days.day_number >= 2 then 1 else 0 end) as repeat_buyers,
        max(case when purchase_days.purchase_date >= {{ add_days('profile_changes.period_start', -365) }} then 1 else 0 end) as buyers_365d,
        sum(purchase_days.revenue) as revenue,
        sum(case when purchase_days.purchase_date >= {{ add_days('profile_changes.period_start', -365) }} then purchase_days.revenue else 0 end) as revenue_365d
    from profile_changes
    inner join purchase_days
        on profile_changes.customer_key = purchase_days.customer_key
        and purchase_days.purchase_date < profile_changes.period_start
    group by
        profile_changes.customer_key,
        profile_changes.period_start,
        profile_changes.profile_before,
        profile_changes.profile_key
),

moves as (
    select
        period_start,
        profile_before,
        profile_key,
        buyers,
        repeat_buyers,
        buyers_365d,
        cast(0 as bigint) as customers_known,
        revenue,
        revenue_365d
    from moves_of_buyers
    union all
    select
        profile_changes.period_start,
        profile_changes.profile_before,
        profile_changes.profile_key,
        0 as buyers,
        0 as repeat_buyers,
        0 as buyers_365d,
        cast(1 as bigint) as customers_known,
        cast(0 as decimal(38, 2)) as revenue,
        cast(0 as decimal(38, 2)) as revenue_365d
    from profile_changes
    inner join first_facts
        on profile_changes.customer_key = first_facts.customer_key
        and first_facts.first_order_fact_date < profile_changes.period_start
),

flows as (
    {{ by_segment('sums', ['period_start'], counts + amounts, types) }}
),

moved as (
    {{ moves_by_segment('moves', ['period_start'], moved_counts + moved_amounts, moved_types) }}
)

select
    {{ this_grain() }} as grain,
    coalesce(flows.period_start, moved.period_start) as period_start,
    'order' as basis,
    coalesce(flows.segment_dimension, moved.segment_dimension) as segment_dimension,
    coalesce(flows.segment_value, moved.segment_value) as segment_value,
{%- for column in counts + amounts %}
    coalesce(flows.{{ column }}, 0) as {{ column }},
{%- endfor %}
{%- for column in moved_counts + moved_amounts %}
    coalesce(moved.{{ column }}_in, 0) as {{ column }}_in,
    coalesce(moved.{{ column }}_out, 0) as {{ column }}_out{{ ',' if not loop.last }}
{%- endfor %}
from flows
full outer join moved
    on flows.period_start = moved.period_start
    and flows.segment_dimension = moved.segment_dimension
    and flows.segment_value = moved.segment_value
