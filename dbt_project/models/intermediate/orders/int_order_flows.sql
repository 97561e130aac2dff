{{ config(materialized='contributions', flow_keys=['grain', 'period_start', 'basis', 'segment_dimension', 'segment_value']) }}
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
{%- set parts = order_parts() %}
{#- Moves are many: their grain and period (by its first day) are one number (macros/numbers.sql). -#}
{%- set places = cell_places() %}
with purchase_days as (
    select
        *,
        {{ add_days('purchase_date', 365) }} as expiry_date
    from {{ fact('int_purchase_days') }}
),

mover_purchase_days as (
    select * from {{ fact('int_mover_purchase_days') }}
),

refunds as (
    select * from {{ fact('int_refunds') }}
),

first_facts as (
    select * from {{ fact('int_first_facts') }}
    where first_order_fact_date is not null
        and customer_key <> 0
),

{{ inputs_of_sums(calendar_with_previous(), calendar_of_days_with_previous()) }},

{{ sums_of_parts(parts) }},

sums as (
    {{ counts_of_parts(parts, types) }}
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

days_of_movers as (
    select
        *,
        {{ or_forever('next_date') }} as last_date
    from mover_purchase_days
),

{# What a buyer takes along stands in the last purchase day before the opening, and in the last one before the look-back of 365 days. Customers have too few of both
   for an as-of join, which puts all changes in order. Whoever bought before the opening is known by then; asked before the joins, DuckDB takes the changes for few and
   puts them, not the days, in the hash table. #}
moves as (
    select
        {{ number_of('profile_changes.grain', grains(), places) }} + {{ day_number('profile_changes.period_start') }} as cell,
        profile_changes.profile_before,
        profile_changes.profile_key,
{%- for column, expression in buyer_state('profile_changes.period_start', 'profile_changes.start_365d', 'profile_changes.previous_start').items() %}
        coalesce({{ expression }}, 0) as {{ column }},
{%- endfor %}
        1 as customers_known
    from profile_changes
    inner join first_facts
        on profile_changes.customer_key = first_facts.customer_key
    left join days_of_movers as purchase_days
        on profile_changes.customer_key = purchase_days.customer_key
        and purchase_days.purchase_date < profile_changes.period_start
        and profile_changes.period_start <= purchase_days.last_date
    left join days_of_movers as days_before
        on profile_changes.customer_key = days_before.customer_key
        and days_before.purchase_date < profile_changes.start_365d
        and profile_changes.start_365d <= days_before.last_date
    where purchase_days.customer_key is not null
        or first_facts.first_order_fact_date < profile_changes.period_start
),

flows as (
    {{ by_segment('sums', ['grain', 'period_start'], counts + amounts, types) }}
),

moved_of_cells as (
    {{ moves_by_segment('moves', ['cell'], moved_counts + moved_amounts, moved_types) }}
),

moved as (
    select
        *,
        {{ name_of(int_div('cell', places), grains()) }} as grain,
        {{ numbered_day('cell % ' ~ places) }} as period_start
    from moved_of_cells
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
