-- The same core numbers by hand, from the same loaded raw tables: orders, the bridge of customers (order basis), MRR
-- movements and cohorts, by month. No segments, no other grains, no other bases, no checks. What an engineer would
-- write who needs only these; the pipeline's full refresh is measured against it.

create temp table days as
select
    _customer_key as customer,
    cast(timezone('Europe/Amsterdam', timezone('UTC', ordered_at)) as date) as day,
    count(*) as orders,
    sum(amount - coalesce(refunded_amount, 0)) as revenue
from raw_store.raw.orders
where
    (status = 'paid' or (status = 'refunded' and refunded_amount is not null))
    and not coalesce(is_test, false)
    and _customer_key is not null
    and amount > 0
    and coalesce(refunded_amount, 0) < amount
    and cast(timezone('Europe/Amsterdam', timezone('UTC', ordered_at)) as date) < date '2025-01-01'
group by 1, 2;

-- Spans of activity: a gap of more than 90 days ends one. A span covers the month boundaries in (start, end].
create temp table spans as
with marked as (
    select customer, day, day > lag(day) over (partition by customer order by day) + 90 as breaks from days
),
numbered as (
    select customer, day, sum(case when breaks then 1 else 0 end) over (partition by customer order by day) as span from marked
)
select customer, span, min(day) as start_day, max(day) + 90 as end_day from numbered group by 1, 2;

create table bridge as
with covered as (
    select
        customer,
        span = 0 as is_first,
        cast(date_trunc('month', start_day) + interval 1 month as date) as first_boundary,
        cast(date_trunc('month', end_day) as date) as last_boundary,
        lag(cast(date_trunc('month', end_day) as date)) over (partition by customer order by span) as before
    from spans
),
flows as (
    select cast(first_boundary - interval 1 month as date) as month, 'new' as flow from covered where is_first
    union all
    select cast(first_boundary - interval 1 month as date), 'back' from covered
    where not is_first and before < first_boundary - interval 1 month
    union all
    select last_boundary, 'lost' from covered
    union all
    -- within one month lost and there again: neither
    select before, 'unlost' from covered where not is_first and before = first_boundary - interval 1 month
),
counted as (
    select
        month,
        count(*) filter (where flow = 'new') as customers_new,
        count(*) filter (where flow = 'back') as customers_reactivated,
        count(*) filter (where flow = 'lost') - count(*) filter (where flow = 'unlost') as customers_lost
    from flows where month < date '2025-01-01' group by 1
)
select
    month,
    cast(sum(customers_new + customers_reactivated - customers_lost) over (order by month)
        - customers_new - customers_reactivated + customers_lost as bigint) as customers_start,
    customers_new,
    customers_reactivated,
    customers_lost
from counted;

create table orders_by_month as
select
    cast(date_trunc('month', day) as date) as month,
    cast(sum(orders) as bigint) as orders,
    sum(revenue) as order_revenue,
    count(distinct customer) as ordering_customers
from days group by 1;

create table cohorts as
with months as (
    select distinct customer, cast(date_trunc('month', day) as date) as month from days
),
cohorted as (
    select month, min(month) over (partition by customer) as cohort_start from months
)
select cohort_start, datediff('month', cohort_start, month) as age, count(*) as active from cohorted group by 1, 2;

create table mrr as
with phases as (
    select
        _customer_key as customer,
        status,
        cast(timezone('Europe/Amsterdam', timezone('UTC', started_at)) as date) as start_day,
        coalesce(cast(timezone('Europe/Amsterdam', timezone('UTC', ended_at)) as date), date '9999-12-31') as end_day,
        cast((amount * quantity - recurring_discount) / case interval when 'quarter' then 3 else 1 end as decimal(18, 6)) as amount,
        lag(status) over phase as status_before,
        lag(coalesce(cast(timezone('Europe/Amsterdam', timezone('UTC', ended_at)) as date), date '9999-12-31')) over phase as end_before
    from raw_store.raw.subscriptions
    window phase as (partition by subscription_id order by started_at)
),
counted as (
    select customer, amount, start_day, end_day from phases where status = 'active' and amount > 0
    union all
    select customer, amount, start_day, least(end_day, start_day + 30) from phases
    where status = 'past_due' and status_before = 'active' and end_before = start_day and amount > 0
),
steps as (
    select customer, day, sum(change) as change from (
        select customer, start_day as day, amount as change from counted
        union all
        select customer, end_day, -amount from counted
    ) where day < date '2025-01-01' group by 1, 2
),
levels as (
    select customer, day, change, sum(change) over (partition by customer order by day) as after,
        row_number() over (partition by customer order by day) = 1 as is_first
    from steps
)
select
    cast(date_trunc('month', day) as date) as month,
    sum(case when is_first then change else 0 end) as mrr_new,
    sum(case when not is_first and after = change then change else 0 end) as mrr_reactivation,
    sum(case when change > 0 and after > change then change else 0 end) as mrr_expansion,
    sum(case when change < 0 and after > 0 then -change else 0 end) as mrr_contraction,
    sum(case when change < 0 and after = 0 then -change else 0 end) as mrr_churn
from levels group by 1;
