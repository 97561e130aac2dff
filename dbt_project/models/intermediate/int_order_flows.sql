{{ config(materialized='contributions', flow_keys=['grain', 'period_start', 'basis', 'segment_dimension', 'segment_value']) }}
{%- set horizons = [30, 60, 90, 180, 365] %}
{%- set counts = ['orders', 'ordering_customers', 'new_customer_orders', 'repeat_customers', 'returning_customers', 'buyers_returning', 'first_time_buyers', 'second_time_buyers', 'second_order_buyers',
    'repurchased_30d', 'repurchased_60d', 'repurchased_90d', 'repurchased_180d', 'repurchased_365d', 'purchase_gaps', 'purchase_gap_days',
    'buyers_365d_change', 'loyal_customers_change', 'customers_known_change', 'guest_facts'] %}
{%- set amounts = ['order_revenue', 'new_customer_revenue', 'refunds_by_refund_date', 'revenue_365d_change'] %}
{%- set types = {} %}
{%- for column in counts %}{% do types.update({column: 'bigint'}) %}{% endfor %}
{%- for column in amounts %}{% do types.update({column: 'decimal(38, 2)'}) %}{% endfor %}
{%- set moved_counts = ['buyers', 'repeat_buyers', 'repeat_buyers_by_orders', 'buyers_365d', 'loyal_customers', 'ordered', 'customers_known'] %}
{%- set moved_amounts = ['revenue', 'revenue_365d'] %}
{%- set moved_types = {} %}
{%- for column in moved_counts %}{% do moved_types.update({column: 'bigint'}) %}{% endfor %}
{%- for column in moved_amounts %}{% do moved_types.update({column: 'decimal(38, 2)'}) %}{% endfor %}
{#- A purchase day knows by its neighbours whether it is the customer's first in a period, and whether another follows in it. -#}
{%- set is_first_in_period = 'purchase_days.previous_date is null or purchase_days.previous_date < calendar.period_start' %}
{%- set is_followed_in_period = 'purchase_days.next_date < calendar.close_date' %}
{%- set purchases = {
    'orders': 'sum(purchase_days.orders)',
    'order_revenue': 'sum(purchase_days.revenue)',
    'ordering_customers': count_where(is_first_in_period),
    'repeat_customers': count_where('(' ~ is_first_in_period ~ ') and ' ~ is_followed_in_period),
    'buyers_returning': count_where('purchase_days.previous_date >= calendar.previous_start and purchase_days.previous_date < calendar.period_start'),
    'second_time_buyers': count_where('purchase_days.day_number = 2'),
    'second_order_buyers': count_where('purchase_days.orders_before < 2 and purchase_days.orders_before + purchase_days.orders >= 2'),
    'starts_loyalty': count_where('purchase_days.starts_loyalty'),
    'purchase_gaps': 'count(purchase_days.previous_date)',
    'purchase_gap_days': 'sum(' ~ days_between('purchase_days.previous_date', 'purchase_days.purchase_date') ~ ')',
    'starts_365d': count_where('purchase_days.previous_date is null or purchase_days.purchase_date > ' ~ add_days('purchase_days.previous_date', 365))
} %}
{#- A second purchase counts in the period of the first one. -#}
{%- set first_purchases = {
    'first_time_buyers': 'count(*)',
    'new_customer_orders': 'sum(purchase_days.orders)',
    'new_customer_revenue': 'sum(purchase_days.revenue)',
    'not_followed': count_where('purchase_days.next_date is null or purchase_days.next_date >= calendar.close_date')
} %}
{%- for horizon in horizons %}
    {%- do first_purchases.update({'repurchased_' ~ horizon ~ 'd': count_where('purchase_days.next_date < ' ~ as_of() ~ ' and purchase_days.next_date <= '
        ~ add_days('purchase_days.purchase_date', horizon))}) %}
{%- endfor %}
{#- What leaves the look-back of 365 days: the day's revenue, and the customer where no purchase has followed. -#}
{%- set expiries = {
    'ends_365d': count_where('purchase_days.next_date is null or purchase_days.next_date > purchase_days.expiry_date'),
    'revenue': 'sum(purchase_days.revenue)'
} %}
{%- set loyalty_ends = {'ends': 'count(*)'} %}
{%- set is_last_loyal_day = '(purchase_days.next_date is null or purchase_days.next_date > purchase_days.loyal_until)' %}
{%- set refunded = {'refunded': 'sum(refunds.refunded)', 'guest_facts': count_where('refunds.customer_key = 0')} %}
with purchase_days as (
    select
        *,
        {{ add_days('purchase_date', 365) }} as expiry_date
    from {{ fact('int_purchase_days') }}
),

refunds as (
    select * from {{ fact('int_refunds') }}
),

first_facts as (
    select * from {{ fact('int_first_facts') }}
    where first_order_fact_date is not null
        and customer_key <> 0
),

calendar as (
    {{ calendar_with_previous() }}
),

calendar_of_days as (
    {{ calendar_of_days_with_previous() }}
),

profile_values as (
    select * from {{ ref('int_profile_values') }}
),

lasting_profiles as (
    {{ lasting_profiles() }}
),

changing_profiles as (
    {{ changing_profiles() }}
),

{{ sums_of_facts('purchases', 'purchase_days', 'purchase_date', purchases) }},

{{ sums_of_facts('first_purchases', 'purchase_days', 'purchase_date', first_purchases, 'purchase_days.day_number = 1') }},

{{ sums_of_facts('expiries', 'purchase_days', 'expiry_date', expiries) }},

{{ sums_of_facts('loyalty_ends', 'purchase_days', 'loyal_until', loyalty_ends, is_last_loyal_day) }},

{{ sums_of_facts('refunded', 'refunds', 'refunded_date', refunded) }},

{{ sums_of_facts('first_known', 'first_facts', 'first_order_fact_date', {'customers_known': 'count(*)'}) }},

sums as (
{%- set parts = {
    'purchases': {'orders': 'orders', 'order_revenue': 'order_revenue', 'ordering_customers': 'ordering_customers', 'repeat_customers': 'repeat_customers',
        'returning_customers': 'ordering_customers', 'buyers_returning': 'buyers_returning', 'second_time_buyers': 'second_time_buyers',
        'second_order_buyers': 'second_order_buyers', 'loyal_customers_change': 'starts_loyalty', 'purchase_gaps': 'purchase_gaps',
        'purchase_gap_days': 'coalesce(purchase_gap_days, 0)', 'buyers_365d_change': 'starts_365d', 'revenue_365d_change': 'order_revenue'},
    'first_purchases': {'new_customer_orders': 'new_customer_orders', 'new_customer_revenue': 'new_customer_revenue', 'first_time_buyers': 'first_time_buyers',
        'returning_customers': '-not_followed'},
    'expiries': {'buyers_365d_change': '-ends_365d', 'revenue_365d_change': '-revenue'},
    'loyalty_ends': {'loyal_customers_change': '-ends'},
    'refunded': {'refunds_by_refund_date': 'refunded', 'guest_facts': 'guest_facts'},
    'first_known': {'customers_known_change': 'customers_known'}
} %}
{%- for horizon in horizons %}{% do parts.first_purchases.update({'repurchased_' ~ horizon ~ 'd': 'repurchased_' ~ horizon ~ 'd'}) %}{% endfor %}
{%- for part, expressions in parts.items() %}
    select
        grain,
        period_start,
        profile_key,
        {{ only(types, expressions) }}
    from {{ part }}
    {% if not loop.last %}union all{% endif %}
{%- endfor %}
),

profile_changes as (
    select
        *,
        {{ add_days('period_start', -365) }} as start_365d,
        case grain
{%- for grain in grains() %}
            when '{{ grain }}' then {{ period_start(grain, add_days('period_start', -1)) }}
{%- endfor %}
        end as previous_start
    from ({{ profile_changes(all_grains=true) }}) as changes
),

{# What a buyer takes along stands in the last purchase day before the opening, and in the last one before the look-back of 365 days. #}
moves_of_buyers as (
    select
        profile_changes.grain,
        profile_changes.period_start,
        profile_changes.profile_before,
        profile_changes.profile_key,
        1 as buyers,
        case when purchase_days.day_number >= 2 then 1 else 0 end as repeat_buyers,
        case when purchase_days.orders_before + purchase_days.orders >= 2 then 1 else 0 end as repeat_buyers_by_orders,
        case when purchase_days.purchase_date >= profile_changes.start_365d then 1 else 0 end as buyers_365d,
        case when purchase_days.loyal_until >= profile_changes.period_start then 1 else 0 end as loyal_customers,
        case when purchase_days.purchase_date >= profile_changes.previous_start then 1 else 0 end as ordered,
        purchase_days.revenue_to_date as revenue,
        purchase_days.revenue_to_date - coalesce(days_before.revenue_to_date, 0) as revenue_365d
    from profile_changes
    {{ join_last_before('profile_changes', 'period_start', 'purchase_days', 'purchase_date', 'next_date') }}
    {{ join_last_before('profile_changes', 'start_365d', 'purchase_days', 'purchase_date', 'next_date', alias='days_before', side='left') }}
),

moves as (
    select
        grain,
        period_start,
        profile_before,
        profile_key,
        buyers,
        repeat_buyers,
        repeat_buyers_by_orders,
        buyers_365d,
        loyal_customers,
        ordered,
        cast(0 as bigint) as customers_known,
        revenue,
        revenue_365d
    from moves_of_buyers
    union all
    select
        profile_changes.grain,
        profile_changes.period_start,
        profile_changes.profile_before,
        profile_changes.profile_key,
        0 as buyers,
        0 as repeat_buyers,
        0 as repeat_buyers_by_orders,
        0 as buyers_365d,
        0 as loyal_customers,
        0 as ordered,
        cast(1 as bigint) as customers_known,
        cast(0 as decimal(38, 2)) as revenue,
        cast(0 as decimal(38, 2)) as revenue_365d
    from profile_changes
    inner join first_facts
        on profile_changes.customer_key = first_facts.customer_key
        and first_facts.first_order_fact_date < profile_changes.period_start
),

flows as (
    {{ by_segment('sums', ['grain', 'period_start'], counts + amounts, types) }}
),

moved as (
    {{ moves_by_segment('moves', ['grain', 'period_start'], moved_counts + moved_amounts, moved_types) }}
)

select
    coalesce(flows.grain, moved.grain) as grain,
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
    on flows.grain = moved.grain
    and flows.period_start = moved.period_start
    and flows.segment_dimension = moved.segment_dimension
    and flows.segment_value = moved.segment_value
