{{ config(materialized='by_customer') }}
with customers as (
    select * from {{ ref('stg_customers') }}
),

identities as (
    select * from {{ ref('int_identities') }}
),

first_orders as (
    select * from {{ fact('int_first_orders') }}
),

plan_values as (
    select * from {{ fact('int_plan_values') }}
),

{# Attributes come from the surviving id: rows of ids that stand for another one are left out. #}
attributes as (
    select customers.*
    from customers
    left join identities
        on customers.customer_key = identities.alias_key
    where identities.alias_key is null
),

{# Most customers come in one row, whose values hold for ever: only the others have to be put in order. #}
customers_of_several_rows as (
    select customer_key
    from attributes
    group by customer_key
    having count(*) > 1
),

lone_attributes as (
    select attributes.*
    from attributes
    left join customers_of_several_rows
        on attributes.customer_key = customers_of_several_rows.customer_key
    where customers_of_several_rows.customer_key is null
),

delivered as (
{%- for dimension in customer_dimensions() %}
    select
        '{{ dimension }}' as dimension,
        attributes.customer_key,
        attributes.valid_from_date as start_date,
        attributes.valid_from as instant,
        cast(attributes.{{ dimension }} as string) as segment_value
    from attributes
    inner join customers_of_several_rows
        on attributes.customer_key = customers_of_several_rows.customer_key
    where attributes.{{ dimension }} is not null
    union all
{%- endfor %}
    select
        'plan' as dimension,
        customer_key,
        value_from as start_date,
        cast(value_from as timestamp) as instant,
        segment_value
    from plan_values
    where {{ ('plan' in var('segments')) | lower }}
),

last_of_day as (
    select
        dimension,
        customer_key,
        start_date,
        segment_value,
        row_number() over (
            partition by dimension, customer_key, start_date order by instant desc nulls last, segment_value nulls last
        ) as place
    from delivered
),

values_in_order as (
    select
        dimension,
        customer_key,
        start_date,
        segment_value,
        lag(segment_value) over (partition by dimension, customer_key order by start_date nulls last) as value_before
    from last_of_day
    where place = 1
),

changes as (
    select
        dimension,
        customer_key,
        start_date,
        segment_value
    from values_in_order
    where value_before is null
        or value_before <> segment_value
)

select
    dimension,
    customer_key,
    start_date,
    lead(start_date, 1, {{ last_day() }}) over (partition by dimension, customer_key order by start_date nulls last) as end_date,
    row_number() over (partition by dimension, customer_key order by start_date nulls last) = 1 as is_first_value,
    segment_value
from changes
{%- for dimension in customer_dimensions() %}
union all
select
    '{{ dimension }}' as dimension,
    customer_key,
    valid_from_date as start_date,
    {{ last_day() }} as end_date,
    true as is_first_value,
    cast({{ dimension }} as string) as segment_value
from lone_attributes
where {{ dimension }} is not null
{%- endfor %}
union all
select
    'first_order_channel' as dimension,
    customer_key,
    ordered_date as start_date,
    {{ last_day() }} as end_date,
    true as is_first_value,
    channel as segment_value
from first_orders
where channel is not null
    and {{ ('first_order_channel' in var('segments')) | lower }}
