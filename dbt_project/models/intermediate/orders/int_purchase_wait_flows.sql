{{ config(materialized='contributions', flow_keys=['grain', 'period_start', 'segment_dimension', 'segment_value', 'gap_days', 'purchase_date']) }}
{#- A purchase day d is waited for from d until the next one n, at most 365 days: it is an open wait at the closes B with d < B <= n, and one of n - d days, a gap, at those
    with n < B <= d + 365. An open wait is named by its day, as its length differs from close to close.
    A wait is a number (open_wait), a cell a wait, a period (by its first day) and a grain in one (macros/numbers.sql). -#}
{%- set no_date = first_day() %}
{%- set places = cell_places() %}
{%- set never = places - 1 %}
{%- set grains_of_waits = grains() | reject('equalto', 'week') | list %}
{#- Purchase days are read where they are used: what several parts of a query share is kept in memory, and they are too many for that. -#}
{%- set purchase_days = fact('int_purchase_days') %}
{%- set is_followed = 'purchase_days.next_date < ' ~ add_days('purchase_days.purchase_date', 365) %}
{%- set waits = {
    'open': {
        'wait': open_wait('purchase_days.purchase_date'),
        'from': 'purchase_days.purchase_date',
        'to': 'case when ' ~ is_followed ~ ' then purchase_days.next_date else ' ~ add_days('purchase_days.purchase_date', 365) ~ ' end',
        'condition': 'true'
    },
    'over': {
        'wait': days_between('purchase_days.purchase_date', 'purchase_days.next_date'),
        'from': 'purchase_days.next_date',
        'to': add_days('purchase_days.purchase_date', 365),
        'condition': is_followed
    }
} %}
with calendar as (
    select
        calendar_date
{%- for grain in grains_of_waits %},
        cast(max(case when grain = '{{ grain }}' then {{ day_number('period_start') }} end) as bigint) as {{ grain }}_number
{%- endfor %}
    from {{ ref('int_calendar') }}
    where grain <> 'week'
    group by calendar_date
),

lasting_profiles as (
    select *{{ numbers_of_profile('profile_key') }}
    from ({{ lasting_profiles() }}) as profiles_of_life
),

{# Of customers with one profile for life quarters and years are made of months. #}
lasting_waits as (
{%- for name, wait in waits.items() %}
    select
        (began.month_number * {{ places }} + coalesce(ended.month_number, {{ never }})) * {{ places }} + {{ wait.wait }} as cell
        {{- joined_numbers('lasting_profiles') }}
    from {{ purchase_days }} as purchase_days
    inner join calendar as began
        on {{ wait.from }} = began.calendar_date
    left join calendar as ended
        on {{ wait.to }} = ended.calendar_date
    left join lasting_profiles
        on purchase_days.customer_key = lasting_profiles.customer_key
    where coalesce(lasting_profiles.profile_key, 0) >= 0
        and {{ wait.condition }}
    {% if not loop.last %}union all{% endif %}
{%- endfor %}
),

sums_of_lasting as (
    {{ sums_by_segment('lasting_waits', ['cell'], {'waits': 'bigint'}, counted=true, numbered=true) }}
),

changing_waits as (
{%- for name, wait in waits.items() %}
    select
        purchase_days.customer_key,
        {{ wait.wait }} as wait,
{%- for grain in grains_of_waits %}
        began.{{ grain }}_number as from_{{ grain }},
        coalesce(ended.{{ grain }}_number, {{ never }}) as to_{{ grain }}{{ ',' if not loop.last }}
{%- endfor %}
    from {{ fact('int_mover_purchase_days') }} as purchase_days
    inner join calendar as began
        on {{ wait.from }} = began.calendar_date
    left join calendar as ended
        on {{ wait.to }} = ended.calendar_date
    where {{ wait.condition }}
    {% if not loop.last %}union all{% endif %}
{%- endfor %}
),

profile_spans as (
    select
        grain,
        customer_key,
        {{ day_number('greatest(from_period, ' ~ first_numbered_day() ~ ')') }} as from_number,
        least({{ day_number('to_period') }}, {{ never }}) as to_number,
        profile_key
    from {{ fact('int_profile_spans') }}
    where rule = 'period'
        and grain <> 'week'
),

{# With the time before a customer's first profile in a grain, when all is unknown. #}
whole_profile_spans as (
    select grain, customer_key, from_number, to_number{{ numbers_of_profile('profile_key') }}
    from profile_spans
{%- for grain in grains_of_waits %}
    union all
    select
        '{{ grain }}' as grain,
        lasting_profiles.customer_key,
        0 as from_number,
        coalesce(min(profile_spans.from_number), {{ never }}) as to_number
        {{- numbers_of_profile('0') }}
    from lasting_profiles
    left join profile_spans
        on lasting_profiles.customer_key = profile_spans.customer_key
        and profile_spans.grain = '{{ grain }}'
    where lasting_profiles.profile_key = -1
    group by lasting_profiles.customer_key
{%- endfor %}
),

{# A wait of the others is one of each profile that its customer has meanwhile. #}
waits_by_profile as (
{%- for grain in grains_of_waits %}
    select
        (({{ loop.index0 }} * {{ places }} + greatest(changing_waits.from_{{ grain }}, whole_profile_spans.from_number)) * {{ places }}
            + least(changing_waits.to_{{ grain }}, whole_profile_spans.to_number)) * {{ places }} + changing_waits.wait as cell
        {%- for _ in var('segments') %},
        whole_profile_spans.number_{{ loop.index0 }}
        {%- endfor %}
    from changing_waits
    inner join whole_profile_spans
        on changing_waits.customer_key = whole_profile_spans.customer_key
        and whole_profile_spans.grain = '{{ grain }}'
        and changing_waits.from_{{ grain }} < whole_profile_spans.to_number
        and whole_profile_spans.from_number < changing_waits.to_{{ grain }}
    where changing_waits.from_{{ grain }} < changing_waits.to_{{ grain }}
    {% if not loop.last %}union all{% endif %}
{%- endfor %}
),

sums_of_changing as (
    {{ sums_by_segment('waits_by_profile', ['cell'], {'waits': 'bigint'}, counted=true, numbered=true) }}
),

months as (
    select distinct
{%- for grain in grains_of_waits %}
        {{ grain }}_number{{ ',' if not loop.last }}
{%- endfor %}
    from calendar
),

{# What begins in a month, and ends. #}
lasting_steps as (
    select
        {{ int_div('cell', places * places) }} as month_number,
        cell % {{ places }} as wait,
        segment_number,
        waits
    from sums_of_lasting
    union all
    select
        {{ int_div('cell', places) }} % {{ places }} as month_number,
        cell % {{ places }} as wait,
        segment_number,
        -waits as waits
    from sums_of_lasting
),

sums as (
    select
        {{ int_div('cell', places * places) }} * {{ places }} + cell % {{ places }} as cell,
        segment_number,
        waits
    from sums_of_changing
    union all
    select
        ({{ int_div('cell', places * places * places) }} * {{ places }} + {{ int_div('cell', places) }} % {{ places }}) * {{ places }} + cell % {{ places }} as cell,
        segment_number,
        -waits as waits
    from sums_of_changing
{%- for grain in grains_of_waits %}
    union all
    select
        ({{ loop.index0 }} * {{ places }} + months.{{ grain }}_number) * {{ places }} + lasting_steps.wait as cell,
        lasting_steps.segment_number,
        lasting_steps.waits
    from lasting_steps
    inner join months
        on lasting_steps.month_number = months.month_number
{%- endfor %}
),

flows as (
    select
        cell,
        segment_number,
        cast(sum(waits) as bigint) as waits
    from sums
    group by
        cell,
        segment_number
    having sum(waits) <> 0
),

segments as (
    {{ segments_by_number() }}
)

select
    {{ name_of(int_div('flows.cell', places * places), grains_of_waits) }} as grain,
    {{ numbered_day(int_div('flows.cell', places) ~ ' % ' ~ places) }} as period_start,
    segments.segment_dimension,
    segments.segment_value,
    cast(case when flows.cell % {{ places }} < {{ first_open_wait() }} then flows.cell % {{ places }} else 0 end as integer) as gap_days,
    case
        when flows.cell % {{ places }} < {{ first_open_wait() }} then {{ no_date }}
        else {{ numbered_day('flows.cell % ' ~ places ~ ' - ' ~ first_open_wait()) }}
    end as purchase_date,
    flows.waits
from flows
inner join segments
    on flows.segment_number = segments.segment_number
where {{ int_div('flows.cell', places) }} % {{ places }} < {{ never }}
