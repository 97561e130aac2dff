{{ config(materialized='contributions', flow_keys=['grain', 'period_start', 'basis', 'segment_dimension', 'segment_value', 'gap_days']) }}
{#- A cell is a day (a slice or a period by its first one) and a gap in one number (macros/numbers.sql). -#}
{%- set places = cell_places() %}
{#- Purchase days are read where they are used: what several parts of a query share is kept in memory, and they are too many for that. -#}
{%- set purchase_days = fact('int_purchase_days') %}
{%- set gap_days = days_between('purchase_days.previous_date', 'purchase_days.purchase_date') %}
with calendar as (
    select
        calendar_date
{%- for grain in grains() %},
        cast(max(case when grain = '{{ grain }}' then {{ day_number('period_start') }} end) as bigint) as {{ grain }}_number
{%- endfor %}
    from {{ ref('int_calendar') }}
    group by calendar_date
),

{# Days of one week and one month share quarter and year, too; without weeks a slice is a month. #}
slices as (
    select
        *,
        {{ 'greatest(week_number, month_number)' if 'week' in grains() else 'month_number' }} as slice_number
    from calendar
),

lasting_profiles as (
    {{ lasting_profiles() }}
),

{# Of customers with one profile for life the gaps of a period are those of its slices. #}
gaps_by_slice as (
    select
        slices.slice_number * {{ places }} + {{ gap_days }} as cell,
        coalesce(lasting_profiles.profile_key, 0) as profile_key,
        count(*) as purchase_gaps
    from {{ purchase_days }} as purchase_days
    inner join slices
        on purchase_days.purchase_date = slices.calendar_date
    left join lasting_profiles
        on purchase_days.customer_key = lasting_profiles.customer_key
    where purchase_days.previous_date is not null
        and coalesce(lasting_profiles.profile_key, 0) >= 0
    group by
        slices.slice_number * {{ places }} + {{ gap_days }},
        coalesce(lasting_profiles.profile_key, 0)
),

sums_by_slice as (
    {{ sums_by_segment('gaps_by_slice', ['cell'], {'purchase_gaps': 'bigint'}) }}
),

changing_gaps as (
    select
        {{ gap_days }} as gap_days,
{%- for grain in grains() %}
        slices.{{ grain }}_number,
        {{ mover_profile('purchase_days', grain) }}{{ ',' if not loop.last }}
{%- endfor %}
    from {{ fact('int_mover_purchase_days') }} as purchase_days
    inner join slices
        on purchase_days.purchase_date = slices.calendar_date
    where purchase_days.previous_date is not null
),

gaps_by_grain as (
{%- for grain in grains() %}
    select
        ({{ loop.index0 }} * {{ places }} + changing_gaps.{{ grain }}_number) * {{ places }} + changing_gaps.gap_days as cell,
        {{ mover_profile('changing_gaps', grain) }} as profile_key,
        count(*) as purchase_gaps
    from changing_gaps
    group by
        ({{ loop.index0 }} * {{ places }} + changing_gaps.{{ grain }}_number) * {{ places }} + changing_gaps.gap_days,
        {{ mover_profile('changing_gaps', grain) }}
    {% if not loop.last %}union all{% endif %}
{%- endfor %}
),

sums_by_grain as (
    {{ sums_by_segment('gaps_by_grain', ['cell'], {'purchase_gaps': 'bigint'}) }}
),

periods_of_slices as (
    select distinct
        slice_number,
{%- for grain in grains() %}
        {{ grain }}_number{{ ',' if not loop.last }}
{%- endfor %}
    from slices
),

sums as (
    select cell, segment_number, purchase_gaps from sums_by_grain
{%- for grain in grains() %}
    union all
    select
        ({{ loop.index0 }} * {{ places }} + periods_of_slices.{{ grain }}_number) * {{ places }} + sums_by_slice.cell % {{ places }} as cell,
        sums_by_slice.segment_number,
        sums_by_slice.purchase_gaps
    from sums_by_slice
    inner join periods_of_slices
        on {{ int_div('sums_by_slice.cell', places) }} = periods_of_slices.slice_number
{%- endfor %}
),

flows as (
    select
        cell,
        segment_number,
        cast(sum(purchase_gaps) as bigint) as purchase_gaps
    from sums
    group by
        cell,
        segment_number
),

segments as (
    {{ segments_by_number() }}
)

select
    {{ name_of(int_div('flows.cell', places * places), grains()) }} as grain,
    {{ numbered_day('cast(' ~ int_div('flows.cell', places) ~ ' % ' ~ places ~ ' as integer)') }} as period_start,
    'order' as basis,
    segments.segment_dimension,
    segments.segment_value,
    cast(flows.cell % {{ places }} as integer) as gap_days,
    flows.purchase_gaps
from flows
inner join segments
    on flows.segment_number = segments.segment_number
