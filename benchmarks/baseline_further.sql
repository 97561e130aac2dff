-- What else the pipeline publishes of orders, by hand, by month and for everyone: run after baseline.sql, whose temporary
-- tables `days` and `spans` it reads. Numbers of buyers, gaps and waits between purchases, orders by rank and by tenure,
-- refunds, reasons of exclusion, the survival curve. Not here: subscriptions beyond MRR movements (renewals, losses by
-- reason, plans, 12-month pairs), customers' profiles, lists of customers at risk.

create temp table months as
select
    cast(range as date) as month,
    cast(range + interval 1 month as date) as close_day
from range(timestamp '2020-01-01', timestamp '2025-01-01', interval 1 month);

-- Purchase days with their neighbours. A third day within 365 makes a customer loyal, while the last one is at most 90 days ago.
create temp table purchases as
select
    customer,
    day,
    cast(date_trunc('month', day) as date) as month,
    orders,
    revenue,
    lag(day) over own as previous_day,
    lead(day) over own as next_day,
    row_number() over own as day_number,
    first_value(day) over own as first_day,
    sum(orders) over own as orders_to_date,
    case when lag(day, 2) over own is not null then least(day + 90, lag(day, 2) over own + 365) end as loyal_until
from days
window own as (partition by customer order by day);

create table orders_further as
with by_month as (
    select
        month,
        count(*) filter (where previous_day is null or previous_day < month) as ordering_customers,
        count(*) filter (where (previous_day is null or previous_day < month) and next_day < month + interval 1 month) as repeat_customers,
        count(*) filter (where previous_day < month and previous_day >= month - interval 1 month) as buyers_returning,
        count(*) filter (where day > first_day and (next_day is null or next_day >= month + interval 1 month)) as returning_customers,
        count(*) filter (where day_number = 1) as first_time_buyers,
        sum(orders) filter (where day_number = 1) as new_customer_orders,
        sum(revenue) filter (where day_number = 1) as new_customer_revenue,
        count(*) filter (where day_number = 1 and next_day <= day + 30) as repurchased_30d,
        count(*) filter (where day_number = 1 and next_day <= day + 60) as repurchased_60d,
        count(*) filter (where day_number = 1 and next_day <= day + 90) as repurchased_90d,
        count(*) filter (where day_number = 1 and next_day <= day + 180) as repurchased_180d,
        count(*) filter (where day_number = 1 and next_day <= day + 365) as repurchased_365d,
        count(previous_day) as purchase_gaps,
        coalesce(sum(day - previous_day), 0) as purchase_gap_days,
        count(*) filter (where day_number = 2) as second_day_buyers,
        count(*) filter (where orders_to_date >= 2 and orders_to_date - orders < 2) as second_order_buyers,
        sum(revenue) as revenue
    from purchases group by 1
),
-- What counts at every close from a day until another one, as steps up and down.
steps as (
    select month, count(*) as purchase_days, sum(revenue) as revenue_365d, 0 as buyers_365d, 0 as loyal from purchases group by 1
    union all
    select cast(date_trunc('month', day + 365) as date), -count(*), -sum(revenue), 0, 0 from purchases group by 1
    union all
    select month, 0, 0, count(*), 0 from purchases group by 1
    union all
    select cast(date_trunc('month', least(day + 365, coalesce(next_day, day + 365))) as date), 0, 0, -count(*), 0 from purchases group by 1
    union all
    select month, 0, 0, 0, count(*) from purchases where loyal_until > day group by 1
    union all
    select cast(date_trunc('month', least(loyal_until, coalesce(next_day, loyal_until))) as date), 0, 0, 0, -count(*)
    from purchases where loyal_until > day group by 1
),
stepped as (
    select
        month,
        sum(sum(purchase_days)) over (order by month) as purchase_days_365d,
        sum(sum(revenue_365d)) over (order by month) as order_revenue_365d,
        sum(sum(buyers_365d)) over (order by month) as ordering_customers_365d,
        sum(sum(loyal)) over (order by month) as loyal_customers
    from steps group by 1
),
refunded as (
    select
        cast(date_trunc('month', timezone('Europe/Amsterdam', timezone('UTC', coalesce(refunded_at, ordered_at)))) as date) as month,
        sum(case when status = 'refunded' and refunded_amount is null then amount else refunded_amount end) as refunds_by_refund_date
    from raw_store.raw.orders
    where amount >= 0 and not coalesce(is_test, false) and (refunded_amount is not null or status = 'refunded')
    group by 1
)
select
    by_month.* exclude (second_day_buyers, second_order_buyers, revenue),
    lag(ordering_customers, 1, 0) over (order by month) as ordering_customers_previous,
    sum(first_time_buyers) over (order by month) as buyers_to_date,
    sum(second_day_buyers) over (order by month) as repeat_buyers_to_date,
    sum(second_order_buyers) over (order by month) as repeat_buyers_by_orders_to_date,
    sum(revenue) over (order by month) as revenue_to_date,
    stepped.purchase_days_365d,
    stepped.order_revenue_365d,
    stepped.ordering_customers_365d,
    stepped.loyal_customers,
    coalesce(refunded.refunds_by_refund_date, 0) as refunds_by_refund_date
from by_month
inner join stepped using (month)
left join refunded using (month);

create table gaps as
select month, day - previous_day as gap_days, count(*) as purchase_gaps
from purchases where previous_day is not null group by 1, 2;

-- The Kaplan-Meier median of the days from a purchase to the next one, of the purchase days in the 365 days before each close.
create table median_waits as
with waits as (
    select day, case when next_day < day + 365 then next_day end as next_day, count(*) as customers from purchases group by 1, 2
),
waits_at_close as (
    select
        months.month,
        case when next_day < close_day then next_day - day else close_day - day end as t,
        sum(case when next_day < close_day then customers else 0 end) as events,
        sum(customers) as ended
    from months inner join waits on day < close_day and day >= close_day - 365
    group by 1, 2
),
at_risk as (
    select month, t, events, sum(ended) over (partition by month order by t desc) as at_risk from waits_at_close
),
curve as (
    select month, t, exp(sum(ln(greatest(at_risk - events, 1e-300) / at_risk)) over (partition by month order by t)) as survival from at_risk
)
select month, min(t) filter (where survival <= 0.5 + 1e-12) as next_purchase_median_days from curve group by 1;

create table order_ranks as
with ranked as (
    select
        cast(date_trunc('month', timezone('Europe/Amsterdam', timezone('UTC', ordered_at))) as date) as month,
        least(row_number() over (partition by _customer_key order by ordered_at, order_id), 11) as rank,
        amount - coalesce(refunded_amount, 0) as revenue
    from raw_store.raw.orders
    where
        (status = 'paid' or (status = 'refunded' and refunded_amount is not null))
        and not coalesce(is_test, false)
        and _customer_key is not null
        and amount > 0
        and coalesce(refunded_amount, 0) < amount
)
select month, rank, count(*) as orders, sum(revenue) as order_revenue from ranked where month < date '2025-01-01' group by 1, 2;

create table tenures as
select
    month,
    datediff('month', first_day, day) // 6 as tenure_half_years,
    sum(orders) as orders,
    sum(revenue) as order_revenue,
    count(*) filter (where previous_day is null or previous_day < month) as ordering_customers
from purchases group by 1, 2;

create table exclusions as
with judged as (
    select
        cast(date_trunc('month', timezone('Europe/Amsterdam', timezone('UTC', ordered_at))) as date) as month,
        case
            when is_test then 'test'
            when status = 'cancelled' then 'cancelled'
            when status = 'pending' then 'pending'
            when _customer_key is null then 'unattributed'
            when amount < 0 then 'negative'
            when amount = 0 then 'zero_value'
            when coalesce(refunded_amount, case when status = 'refunded' then amount else 0 end) >= amount then 'fully_refunded'
        end as reason,
        amount
    from raw_store.raw.orders
)
select month, reason, count(*) as orders, sum(amount) as amount
from judged where reason is not null and month < date '2025-01-01' group by 1, 2;

-- A customer's life of orders ends with the first span, or goes on.
create table survival as
with lives as (
    select least(end_day, date '2025-01-01') - start_day as t, count(*) filter (where end_day < date '2025-01-01') as events, count(*) as ended
    from spans where span = 0 group by 1
    union all
    select 0, 0, 0
),
at_risk as (
    select t, events, ended - events as censored, sum(ended) over (order by t desc) as at_risk from lives
)
select t, at_risk, events, censored, exp(sum(ln(greatest(at_risk - events, 1e-300) / at_risk)) over (order by t)) as survival
from at_risk;
