-- A made-up product: one subscription still runs, one was cancelled in March after a trial, one is paid by the year in
-- yen, one was never paid, and one item is metered.
create schema stripe;
create table stripe.subscription (
    id text primary key, customer_id text, status text, start_date timestamp, trial_end timestamp, ended_at timestamp,
    canceled_at timestamp, current_period_end timestamp, _fivetran_synced timestamp
);
insert into stripe.subscription values
    ('sub_1', 'cus_1', 'active', '2025-01-05 10:00:00', null, null, null, '2025-04-05 10:00:00', now()),
    ('sub_2', 'cus_2', 'canceled', '2025-01-10 10:00:00', '2025-01-24 10:00:00', '2025-03-24 10:00:00', '2025-03-02 09:00:00', '2025-03-24 10:00:00', now()),
    ('sub_3', 'cus_3', 'active', '2025-02-01 00:00:00', null, null, null, '2026-02-01 00:00:00', now()),
    ('sub_4', 'cus_4', 'incomplete_expired', '2025-02-02 00:00:00', null, null, null, null, now()),
    ('sub_5', 'cus_5', 'canceled', '2025-02-03 00:00:00', '2025-02-17 00:00:00', '2025-02-10 00:00:00', '2025-02-10 00:00:00', null, now());
create table stripe.subscription_item (id text primary key, subscription_id text, plan_id text, quantity bigint);
insert into stripe.subscription_item values
    ('si_1', 'sub_1', 'price_pro', 3), ('si_1m', 'sub_1', 'price_calls', null), ('si_2', 'sub_2', 'price_pro', null),
    ('si_3', 'sub_3', 'plan_yen', 1), ('si_4', 'sub_4', 'price_pro', 1), ('si_5', 'sub_5', 'price_pro', 1);
create table stripe.price (
    id text primary key, unit_amount bigint, currency text, recurring_interval text, recurring_interval_count bigint,
    recurring_usage_type text
);
insert into stripe.price values
    ('price_pro', 2900, 'eur', 'month', 1, 'licensed'), ('price_calls', 1, 'eur', 'month', 1, 'metered');
create table stripe.plan (
    id text primary key, amount bigint, currency text, "interval" text, interval_count bigint, usage_type text
);
insert into stripe.plan values ('plan_yen', 120000, 'jpy', 'year', 1, 'licensed');
