-- Engagement by hand, from the same loaded raw table: distinct customer-days, then DAU, MAU, stickiness and the histogram
-- of active days (L28) by month. No segments, no other grains, no checks. The pipeline's full refresh of the family is
-- measured against it.

create temp table days as
select distinct
    _customer_key as customer,
    cast(timezone('Europe/Amsterdam', timezone('UTC', occurred_at)) as date) as day
from raw_store.raw.events
where
    _customer_key is not null
    and cast(timezone('Europe/Amsterdam', timezone('UTC', occurred_at)) as date) < date '2025-01-01';

create temp table months as
select cast(month as date) as month, cast(month + interval 1 month as date) as next_month
from (select unnest(generate_series(timestamp '2020-01-01', timestamp '2024-12-01', interval 1 month)) as month);

-- The window of 28 days before a month's close lies within the month, but for February.
create temp table last_days as
select months.month, days.customer, count(*) as active_days
from days
inner join months on days.day >= months.next_month - interval 28 day and days.day < months.next_month
group by all;

create table lness as
select month, active_days, count(*) as customers from last_days group by all;

create table engagement as
with daily as (
    select cast(date_trunc('month', day) as date) as month, count(*) as active_days, count(distinct customer) as active_customers
    from days group by 1
),
monthly as (
    select month, count(*) as mau, sum(active_days) as mau_days from last_days group by 1
)
select
    months.month,
    daily.active_days / (months.next_month - months.month) as dau,
    daily.active_customers,
    monthly.mau,
    monthly.mau_days / (28.0 * monthly.mau) as stickiness
from months
left join daily using (month)
left join monthly using (month);
