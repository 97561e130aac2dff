{{ config(materialized='by_customer') }}
{%- set cuts = var('engagement_cuts') %}
{#- A customer and a dimension are one number (macros/numbers.sql). -#}
{%- set delivered_dimensions = customer_dimensions() + ['plan'] %}
{%- set places = delivered_dimensions | length %}
{%- do ref('int_active_days') %}{% do ref('stg_surveys') %}{% do ref('int_identities') %}
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
        attributes.customer_key * {{ places }} + {{ loop.index0 }} as owner,
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
        customer_key * {{ places }} + {{ delivered_dimensions.index('plan') }} as owner,
        value_from as start_date,
        cast(value_from as timestamp) as instant,
        segment_value
    from plan_values
    where {{ ('plan' in var('segments')) | lower }}
),

last_of_day as (
    select
        owner,
        start_date,
        segment_value,
        row_number() over (partition by owner, start_date order by instant desc nulls last, segment_value nulls last) as place
    from delivered
),

values_in_order as (
    select
        owner,
        start_date,
        segment_value,
        lag(segment_value) over (partition by owner order by start_date nulls last) as value_before
    from last_of_day
    where place = 1
),

changes as (
    select
        owner,
        start_date,
        segment_value
    from values_in_order
    where value_before is null
        or value_before <> segment_value
){%- if behaviour_dimensions() %},

{%- if 'engagement_group' in var('segments') %}

{# The openings that an active day may decide: the first of the next month, those whose window it lies in, and the one after these. #}
openings as (
    select
        active_days.customer_key,
        {{ add_months(truncated('month', 'active_days.active_date'), 'numbers.n + 1') }} as opening,
        {{ add_months(truncated('month', 'active_days.active_date'), 'numbers.n') }} as opening_before,
        {{ add_days('active_days.active_date', var('mau_days')) }} as exit_date
    from {{ fact('int_active_days') }} as active_days
    cross join {{ numbers(var('mau_days') // 28 + 2) }} as numbers
),

engagement as (
    select
        customer_key,
        opening,
        {{ count_where('opening <= exit_date') }} as active_days
    from openings
    where opening_before <= exit_date
    group by
        customer_key,
        opening
),
{%- endif %}

{%- if 'nps_class' in var('segments') %}

answers as (
    select
        coalesce(identities.customer_key, surveys.customer_key) as customer_key,
        surveys.responded_date,
        surveys.score,
        row_number() over (
            partition by coalesce(identities.customer_key, surveys.customer_key), surveys.responded_date
            order by surveys.responded_at desc nulls last, surveys.response_id desc nulls last
        ) as place
    from {{ ref('stg_surveys') }} as surveys
    left join identities
        on surveys.customer_key = identities.alias_key
    where surveys.kind = 'nps'
        and surveys.customer_key is not null
        and {{ is_since_data_start('surveys.responded_date') }}
),

last_answers as (
    select
        customer_key,
        responded_date,
        case when score >= 9 then 'promoter' when score >= 7 then 'passive' else 'detractor' end as segment_value,
        lead(responded_date) over (partition by customer_key order by responded_date nulls last) as next_date
    from answers
    where place = 1
),
{%- endif %}

{# Values by the day after which they hold: a period that opens later has them. #}
decided as (
{%- if 'engagement_group' in var('segments') %}
    select
        'engagement_group' as dimension,
        customer_key,
        {{ add_days('opening', -1) }} as start_date,
        case
            when active_days >= {{ cuts[2] }} then 'high'
            when active_days >= {{ cuts[1] }} then 'medium'
            when active_days >= {{ cuts[0] }} then 'low'
            else 'inactive'
        end as segment_value
    from engagement
{%- endif %}
{%- if behaviour_dimensions() | length > 1 %}
    union all
{%- endif %}
{%- if 'nps_class' in var('segments') %}
    select
        'nps_class' as dimension,
        customer_key,
        responded_date as start_date,
        segment_value
    from last_answers
    union all
    select
        'nps_class' as dimension,
        customer_key,
        {{ add_days('responded_date', 365) }} as start_date,
        '{{ value_of_none('nps_class') }}' as segment_value
    from last_answers
    where next_date is null
        or next_date > {{ add_days('responded_date', 365) }}
{%- endif %}
),

decided_in_order as (
    select
        dimension,
        customer_key,
        start_date,
        segment_value,
        lag(segment_value) over (partition by dimension, customer_key order by start_date nulls last) as value_before
    from decided
)
{%- endif %}

select
    {{ name_of('owner % ' ~ places, delivered_dimensions) }} as dimension,
    {{ int_div('owner', places) }} as customer_key,
    start_date,
    lead(start_date, 1, {{ last_day() }}) over (partition by owner order by start_date nulls last) as end_date,
    row_number() over (partition by owner order by start_date nulls last) = 1 as is_first_value,
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
where order_rank = 1
    and channel is not null
    and {{ ('first_order_channel' in var('segments')) | lower }}
{%- if behaviour_dimensions() %}
union all
select
    dimension,
    customer_key,
    start_date,
    lead(start_date, 1, {{ last_day() }}) over (partition by dimension, customer_key order by start_date nulls last) as end_date,
    false as is_first_value,
    segment_value
from decided_in_order
where value_before is null
    or value_before <> segment_value
{%- endif %}
