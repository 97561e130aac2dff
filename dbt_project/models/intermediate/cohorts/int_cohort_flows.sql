{{ config(materialized='contributions', flow_keys=['grain', 'basis', 'segment_dimension', 'segment_value', 'cohort_number', 'period_number']) }}
{%- set columns = {'members': 'bigint', 'ever_active': 'bigint', 'active_purchases': 'bigint', 'active_change': 'bigint', 'last_active': 'bigint',
    'order_revenue': 'decimal(38, 2)', 'mrr_change': 'decimal(38, 6)'} %}
{%- set bases = ['order', 'subscription', 'any'] %}
{%- set kind = {'member': 0, 'lasting': 1, 'purchase': 2, 'opening': 3, 'closing': 4} %}
{#- Days are added up by week and by month only: quarters and years are made of months. -#}
{%- set levels = cohort_levels() %}
{#- Purchase days are read where they are used: what several parts of a query share is kept in memory, and they are too many for that. -#}
{%- set purchase_days = fact('int_purchase_days') %}
with cohort_members as (
    select * from {{ fact('int_cohort_members') }}
    where cohort_event = '{{ var("cohort_event") }}'
),

spans as (
    select * from {{ fact('int_active_spans') }}
    where basis = 'subscription'
),

mrr_changes as (
    select * from {{ fact('int_mrr_changes') }}
    where currency = '{{ var("reporting_currency") }}'
),

periods as (
    select * from {{ ref('int_periods') }}
),

calendar as (
    select
        calendar.calendar_date
{%- for grain in grains() %},
        max(case when calendar.grain = '{{ grain }}' then cast(periods.period_number as bigint) end) as {{ grain }}_number,
        max(case when calendar.grain = '{{ grain }}' then calendar.period_start end) as {{ grain }}_start,
        max(case when calendar.grain = '{{ grain }}' then calendar.close_date end) as {{ grain }}_close
{%- endfor %}
    from {{ ref('int_calendar') }} as calendar
    inner join periods
        on calendar.grain = periods.grain
        and calendar.period_start = periods.period_start{{ computed_once() }}
    group by calendar.calendar_date
),

members as (
    select
        cohort_members.basis,
        {{ number_of('cohort_members.basis', bases) }}
            + case when cohort_members.is_only_basis then {{ bases | length }} else 0 end as basis_number,
        cohort_members.customer_key,
        cohort_members.profile_key{% for level in levels %},
        calendar.{{ level }}_number
{%- endfor %}
    from cohort_members
    inner join calendar
        on cohort_members.cohort_date = calendar.calendar_date{{ computed_once() }}
),

{# Members of basis order, with what their purchases share: the cell but for the period, and the numbers of their values. #}
buyers as (
    select
        customer_key,
        profile_key
        {{- numbers_of_profile('profile_key') }}
{%- for level in levels %},
        {{ level }}_number,
        {{ cohort_cell(kind.purchase, 'basis_number', level ~ '_number', 0) }} as {{ level }}_cell
{%- endfor %}
    from members
    where basis = 'order'
),

covers as (
    select
        customer_key,
        start_date,
        previous_end_date,
        next_start_date,
        {{ add_days('end_date', -1) }} as last_date,
        case when next_start_date is null or next_start_date >= {{ as_of() }} then 1 else 0 end as is_last
    from spans
    where start_date < {{ as_of() }}
),

purchases_of_any as (
    select
        members.customer_key,
        members.basis_number,
        members.profile_key,
{%- for level in levels %}
        members.{{ level }}_number,
{%- endfor %}
        purchase_days.purchase_date,
        purchase_days.previous_date,
        purchase_days.next_date
    from members
    inner join {{ purchase_days }} as purchase_days
        on members.customer_key = purchase_days.customer_key
        and purchase_days.purchase_date < {{ as_of() }}
    where members.basis = 'any'
),

{# Basis any of customers who have both: purchases in periods that no counted day covers come on top of the covers. #}
uncovered_purchases as (
{%- for grain in grains() %}
    select
        {{ cohort_event(kind.purchase, 'calendar', 'purchases_of_any', {'counted_' ~ grain: '1'}) }}
    from purchases_of_any
    inner join calendar
        on purchases_of_any.purchase_date = calendar.calendar_date
    left join spans
        on purchases_of_any.customer_key = spans.customer_key
        and spans.start_date < calendar.{{ grain }}_close
        and spans.end_date > calendar.{{ grain }}_start
    where {{ or_never('purchases_of_any.previous_date') }} < calendar.{{ grain }}_start
        and spans.customer_key is null
    {% if not loop.last %}union all{% endif %}
{%- endfor %}
),

{# The last activity of those customers: of the last purchase and the last counted day the later one; as_of or later while they are active. #}
last_activities as (
    select
        members.basis_number,
        members.profile_key,
{%- for level in levels %}
        members.{{ level }}_number,
{%- endfor %}
        max(activities.last_date) as last_date
    from members
    inner join (
        select
            customer_key,
            purchase_date as last_date
        from purchases_of_any
        where next_date is null
            or next_date >= {{ as_of() }}
        union all
        select
            customer_key,
            last_date
        from covers
        where is_last = 1
    ) as activities
        on members.customer_key = activities.customer_key
    where members.basis = 'any'
    group by
        members.customer_key,
        members.basis_number,
        members.profile_key{% for level in levels %},
        members.{{ level }}_number
{%- endfor %}
),

{# What happens to members besides the purchases of basis order. A member: on the cohort's day. Lasting: active at as_of. A cover opens its first period unless
   the one before reaches into it, and closes its last one unless the next one starts in it. #}
events as (
    select
        {{ cohort_event(kind.member, 'members', 'members', {}, '1') }}
    from members
    union all
    select
        {{ cohort_event(kind.opening, 'calendar', 'members', {}, 'case when covers.previous_end_date > calendar.__grain_start then 0 else 1 end') }}
    from covers
    inner join calendar
        on covers.start_date = calendar.calendar_date
    inner join members
        on covers.customer_key = members.customer_key
        and members.basis in ('subscription', 'any')
    union all
    select
        {{ cohort_event(kind.closing, 'calendar', 'members', {'is_last': "case when members.basis = 'subscription' then covers.is_last else 0 end"},
            'case when covers.next_start_date < calendar.__grain_close then 0 else 1 end') }}
    from covers
    inner join calendar
        on covers.last_date = calendar.calendar_date
    inner join members
        on covers.customer_key = members.customer_key
        and members.basis in ('subscription', 'any')
    union all
    select
        {{ cohort_event(kind.lasting, 'members', 'members', {}, '1') }}
    from covers
    inner join members
        on covers.customer_key = members.customer_key
        and members.basis = 'subscription'
    where covers.is_last = 1
        and covers.last_date >= {{ as_of() }}
    union all
    select
        {{ cohort_event(kind.closing, 'calendar', 'last_activities', {'is_last': '1'}) }}
    from last_activities
    inner join calendar
        on last_activities.last_date = calendar.calendar_date
    union all
    select
        {{ cohort_event(kind.lasting, 'last_activities', 'last_activities', {}, '1') }}
    from last_activities
    where last_date >= {{ as_of() }}
    union all
    select
        {{ cohort_event(kind.opening, 'calendar', 'members', {'mrr_change': 'mrr_changes.mrr_after - mrr_changes.mrr_before'}) }}
    from mrr_changes
    inner join calendar
        on mrr_changes.change_date = calendar.calendar_date
    inner join members
        on mrr_changes.customer_key = members.customer_key
        and members.basis = 'subscription'
    union all
    select * from uncovered_purchases
),

{%- for level, level_grains in levels.items() %}
{%- set counts = {} %}
{%- for grain in level_grains %}{% do counts.update({'counted_' ~ grain: 'bigint'}) %}{% endfor %}
{%- do counts.update({'is_last': 'bigint'}) %}
{%- set purchase_measures = dict(counts, order_revenue='decimal(38, 2)') %}
{%- set event_measures = dict(counts, mrr_change='decimal(38, 6)') %}

{# The first day of a customer in a period counts as an activity of it; the last one before as_of is its last. #}
purchases_by_{{ level }} as (
    select
        buyers.{{ level }}_cell + {{ shown_or_later(level, 'buyers.' ~ level ~ '_number', 'calendar.' ~ level ~ '_number') }} as cell,
{%- if level == 'month' %}
        buyers.profile_key,
{%- else %}
{%- for _ in var('segments') %}
        buyers.number_{{ loop.index0 }},
{%- endfor %}
{%- endif %}
{%- for grain in level_grains %}
        case when {{ or_never('purchase_days.previous_date') }} < calendar.{{ grain }}_start then 1 else 0 end as counted_{{ grain }},
{%- endfor %}
        case when {{ or_forever('purchase_days.next_date') }} >= {{ as_of() }} then 1 else 0 end as is_last,
        purchase_days.revenue as order_revenue
    from {{ purchase_days }} as purchase_days
    inner join calendar
        on purchase_days.purchase_date = calendar.calendar_date
    inner join buyers
        on purchase_days.customer_key = buyers.customer_key
),

{% if level == 'month' -%}
purchases_by_month_and_profile as (
    {{ sums_by_profile('purchases_by_month', ['cell'], purchase_measures) }}
),

{% endif -%}
purchase_sums_by_{{ level }} as (
    {{ sums_by_segment('purchases_by_month_and_profile' if level == 'month' else 'purchases_by_week', ['cell'], purchase_measures, numbered=level != 'month') }}
),

events_by_{{ level }} as (
    select
        {{ cohort_cell('kind', 'basis_number', 'cohort_' ~ level, shown_or_later(level, 'cohort_' ~ level, level ~ '_number')) }} as cell,
        profile_key,
        {{ event_measures | join(', ') }}
    from events
),

events_by_{{ level }}_and_profile as (
    {{ sums_by_profile('events_by_' ~ level, ['cell'], event_measures) }}
),

event_sums_by_{{ level }} as (
    {{ sums_by_segment('events_by_' ~ level ~ '_and_profile', ['cell'], event_measures) }}
),

sums_by_{{ level }} as (
    select
        cell,
        segment_number,
        {{ counts | join(', ') }},
        order_revenue,
        cast(0 as decimal(38, 6)) as mrr_change
    from purchase_sums_by_{{ level }}
    union all
    select
        cell,
        segment_number,
        {{ counts | join(', ') }},
        cast(0 as decimal(38, 2)) as order_revenue,
        mrr_change
    from event_sums_by_{{ level }}
),
{%- endfor %}

months as (
    select distinct
{%- for grain in levels.month %}
        {{ grain }}_number{{ ',' if not loop.last }}
{%- endfor %}
    from calendar
),

with_longer_periods as (
    select
        sums_by_month.cell,
        sums_by_month.segment_number,
{%- for grain in levels.month %}
        cohort_months.{{ grain }}_number as cohort_{{ grain }},
        event_months.{{ grain }}_number,
        sums_by_month.counted_{{ grain }},
{%- endfor %}
        sums_by_month.is_last,
        sums_by_month.order_revenue,
        sums_by_month.mrr_change
    from sums_by_month
    inner join months as cohort_months
        on {{ cell_cohort('sums_by_month.cell') }} = cohort_months.month_number
    inner join months as event_months
        on {{ cell_period('sums_by_month.cell') }} = event_months.month_number{{ computed_once() }}
),

sums_by_grain as (
{%- for grain in grains() %}
    select
        {{ loop.index0 }} as grain_number,
        {{ cell_kind('cell') }} as kind,
        {{ cell_basis('cell') }} as basis_number,
        {{ 'cohort_' ~ grain if grain in levels.month else cell_cohort('cell') }} as cohort_number,
        {{ grain ~ '_number' if grain in levels.month else cell_period('cell') }} as period_number,
        segment_number,
        counted_{{ grain }} as counted,
        is_last,
        order_revenue,
        mrr_change
    from {{ 'with_longer_periods' if grain in levels.month else 'sums_by_week' }}{{ computed_once() }}
    {% if not loop.last %}union all{% endif %}
{%- endfor %}
),

ends_of_cohorts as (
    select
        grain_number,
        basis_number,
        cohort_number,
        segment_number,
        sum(is_last) as ever_active
    from sums_by_grain
    where is_last <> 0
        and period_number >= cohort_number
    group by
        grain_number,
        basis_number,
        cohort_number,
        segment_number
),

{# `ever_active` counts members with an activity in their cohort's period or later; `last_active` those whose last one this is. Covers and MRR from before the
   cohort's period hold in it, but an activity before it is none of the cohort's. #}
flows as (
    select
        grain_number,
        basis_number,
        cohort_number,
        greatest(period_number, cohort_number) as period_number,
        segment_number,
        case when kind = {{ kind.member }} then counted else 0 end as members,
        case when kind = {{ kind.lasting }} then counted else 0 end as ever_active,
        case when kind = {{ kind.purchase }} then counted else 0 end as active_purchases,
        case when kind = {{ kind.opening }} then counted else 0 end as active_change,
        case when period_number >= cohort_number then is_last else 0 end as last_active,
        order_revenue,
        mrr_change
    from sums_by_grain
    where kind <> {{ kind.purchase }}
        or period_number >= cohort_number
    union all
    select
        grain_number,
        basis_number,
        cohort_number,
        greatest(period_number + 1, cohort_number) as period_number,
        segment_number,
        0 as members,
        0 as ever_active,
        0 as active_purchases,
        -counted as active_change,
        0 as last_active,
        0 as order_revenue,
        0 as mrr_change
    from sums_by_grain
    where kind = {{ kind.closing }}
    union all
    select
        grain_number,
        basis_number,
        cohort_number,
        cohort_number as period_number,
        segment_number,
        0 as members,
        ever_active,
        0 as active_purchases,
        0 as active_change,
        0 as last_active,
        0 as order_revenue,
        0 as mrr_change
    from ends_of_cohorts
),

{# Flows of customers who have one basis only are flows of any, too. #}
flows_and_any as (
{%- for basis_number, condition in [('basis_number % ' ~ bases | length, 'true'), (bases.index('any'), 'basis_number >= ' ~ bases | length)] %}
    select
        {{ cohort_cell('grain_number', basis_number, 'cohort_number', 'period_number') }} as cell,
        segment_number,
        {{ columns | join(', ') }}
    from flows
    where {{ condition }}
        and period_number - cohort_number <= case grain_number
{%- for grain in grains() %}
            when {{ loop.index0 }} then {{ var('cohort_max_age')[grain] }}
{%- endfor %}
        end
    {% if not loop.last %}union all{% endif %}
{%- endfor %}
),

summed as (
    select
        cell,
        segment_number,
{%- for column, type in columns.items() %}
        cast(sum({{ column }}) as {{ type }}) as {{ column }}{{ ',' if not loop.last }}
{%- endfor %}
    from flows_and_any
    group by
        cell,
        segment_number
),

segments as (
    {{ segments_by_number() }}
)

select
    {{ name_of(cell_kind('summed.cell'), grains()) }} as grain,
    {{ name_of(cell_basis('summed.cell'), bases) }} as basis,
    segments.segment_dimension,
    segments.segment_value,
    cast({{ cell_cohort('summed.cell') }} as integer) as cohort_number,
    cast({{ cell_period('summed.cell') }} as integer) as period_number,
{%- for column in columns %}
    summed.{{ column }}{{ ',' if not loop.last }}
{%- endfor %}
from summed
inner join segments
    on summed.segment_number = segments.segment_number
