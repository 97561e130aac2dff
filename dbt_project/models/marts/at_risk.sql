{%- set reasons = ['cancel_requested', 'past_due', 'overdue', 'inactive', 'detractor', 'open_ticket'] %}
{%- set midnight = utc_time('cast(' ~ as_of() ~ ' as timestamp)') %}
with customers as (
    select * from {{ ref('int_customers') }}
),

active_spans as (
    select * from {{ ref('int_active_spans') }}
    where {{ holds_at_as_of() }}
),

counted_phases as (
    select * from {{ ref_if_built('int_counted_phases') }}
    where start_date < {{ as_of() }}
),

cancel_requests as (
    select * from {{ ref_if_built('int_cancel_requests') }}
    where request_date < {{ as_of() }}
),

purchase_days as (
    select * from {{ ref_if_built('int_purchase_days') }}
    where purchase_date < {{ as_of() }}
),

active_days as (
    select * from {{ ref_if_built('int_active_days') }}
),

survey_answers as (
    select * from {{ ref_if_built('int_survey_answers') }}
),

tickets as (
    select * from {{ ref_if_built('int_tickets') }}
),

current_phases as (
    select * from counted_phases
    where end_date >= {{ as_of() }}
),

{# A phase that does not begin on the day on which the one before ends opens a run of counted days. #}
requested_phases as (
    select
        subscription_id,
        start_date,
        lag(end_date) over (partition by subscription_id order by start_date nulls last) as end_date_before
    from counted_phases
    where subscription_id in (select subscription_id from cancel_requests)
),

runs as (
    select
        subscription_id,
        max(start_date) as run_start_date
    from requested_phases
    where end_date_before is null
        or end_date_before < start_date
    group by subscription_id
),

requested as (
    select current_phases.customer_key
    from current_phases
    inner join runs
        on current_phases.subscription_id = runs.subscription_id
    inner join cancel_requests
        on runs.subscription_id = cancel_requests.subscription_id
        and cancel_requests.request_date >= runs.run_start_date
),

{# The 0.9 percentile of the gaps of the last 365 days, in whole numbers: it lies `tenths` tenths of the way from gap `lower` to gap `upper`, the next one in order. #}
gaps as (
    select
        {{ days_between('previous_date', 'purchase_date') }} as gap,
        count(*) as occurrences
    from purchase_days
    where previous_date is not null
        and purchase_date >= {{ add_days(as_of(), -365) }}
    group by {{ days_between('previous_date', 'purchase_date') }}
),

all_of_them as (
    select cast(sum(occurrences) as bigint) as all_gaps
    from gaps
),

gaps_in_order as (
    select
        gaps.gap,
        cast(sum(gaps.occurrences) over (order by gaps.gap nulls last rows unbounded preceding) as bigint) as gaps_to_here,
        all_of_them.all_gaps
    from gaps
    cross join all_of_them
),

usual_gap as (
    select
        min(case when gaps_to_here > {{ int_div('9 * (all_gaps - 1)', '10') }} then gap end) as lower,
        min(case when gaps_to_here > least({{ int_div('9 * (all_gaps - 1)', '10') }} + 1, all_gaps - 1) then gap end) as upper,
        max((9 * (all_gaps - 1)) % 10) as tenths
    from gaps_in_order
),

first_days as (
    select
        customer_key,
        purchase_date as first_date
    from purchase_days
    where day_number = 1
),

buyers as (
    select
        last_days.customer_key,
        last_days.purchase_days,
        {{ days_between('last_days.last_date', as_of()) }} as recency_days,
        {{ days_between('first_days.first_date', 'last_days.last_date') }} as days_of_gaps
    from ({{ last_purchase_days(as_of()) }}) as last_days
    inner join active_spans
        on last_days.customer_key = active_spans.customer_key
        and active_spans.basis = 'order'
    inner join first_days
        on last_days.customer_key = first_days.customer_key
),

overdue as (
    select buyers.customer_key
    from buyers
    cross join usual_gap
    where case
            when buyers.purchase_days >= 3 then buyers.recency_days * (buyers.purchase_days - 1) > 2 * buyers.days_of_gaps
            else 10 * (buyers.recency_days - usual_gap.lower) > (usual_gap.upper - usual_gap.lower) * usual_gap.tenths
        end
),

found as (
    select customer_key, 'cancel_requested' as reason from requested
    union all
    select customer_key, 'past_due' as reason from current_phases
    where is_past_due
    union all
    select customer_key, 'overdue' as reason from overdue
    union all
    select customer_key, 'inactive' as reason from active_days
    where active_date < {{ add_days(as_of(), -var('mau_days')) }}
        and (next_date is null or next_date >= {{ as_of() }})
    union all
    select customer_key, 'detractor' as reason from survey_answers
    where kind = 'nps'
        and score <= 6
        and responded_date >= {{ add_days(as_of(), -180) }}
        and responded_date < {{ as_of() }}
        and (next_date is null or next_date >= {{ as_of() }})
    union all
    select customer_key, 'open_ticket' as reason from tickets
    where {{ microseconds_between('opened_at', midnight) }} >= 48 * 3600000000
        and (resolved_date is null or resolved_date >= {{ as_of() }})
),

by_customer as (
    select
        customer_key,
        concat_ws(
            ',',
{%- for reason in reasons %}
            max(case when reason = '{{ reason }}' then '{{ reason }}' end){{ ',' if not loop.last }}
{%- endfor %}
        ) as reasons
    from found
    where customer_key in (select customer_key from active_spans)
    group by customer_key
),

mrr_of_customers as (
    {{ mrr_at_as_of() }}
),

revenue_of_customers as (
    select
        customer_key,
        sum(revenue) as revenue
    from purchase_days
    where purchase_date >= {{ add_months(as_of(), -12) }}
        and customer_key in (select customer_key from by_customer)
    group by customer_key
)

select
    customers.customer_id,
    by_customer.reasons,
    coalesce(mrr_of_customers.mrr, cast(0 as decimal(38, 6))) as mrr,
    cast(coalesce(revenue_of_customers.revenue, 0) as decimal(38, 2)) as revenue_12m
from by_customer
inner join customers
    on by_customer.customer_key = customers.customer_key
left join mrr_of_customers
    on by_customer.customer_key = mrr_of_customers.customer_key
left join revenue_of_customers
    on by_customer.customer_key = revenue_of_customers.customer_key
