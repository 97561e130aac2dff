-- The same product in the engine's own form: epoch seconds, minor units, JSON.
create schema stripe;
create type stripe.subscription_status as enum
    ('trialing', 'active', 'canceled', 'incomplete', 'incomplete_expired', 'past_due', 'unpaid', 'paused');
create table stripe.subscriptions (
    id text primary key, customer text, status stripe.subscription_status, start_date integer, trial_end jsonb,
    ended_at integer, canceled_at integer, pause_collection jsonb
);
insert into stripe.subscriptions values
    ('sub_1', 'cus_1', 'active', 1736071200, null, null, null, null),
    ('sub_2', 'cus_2', 'canceled', 1736503200, '[1737712800]', 1742810400, 1740906000, null),
    ('sub_3', 'cus_3', 'active', 1738368000, null, null, null, '{"behavior": "void"}'),
    ('sub_4', 'cus_4', 'incomplete', 1738454400, null, null, null, null);
create table stripe.subscription_items (id text primary key, subscription text, price text, quantity integer, deleted boolean);
insert into stripe.subscription_items values
    ('si_1', 'sub_1', 'price_pro', 3, false), ('si_1b', 'sub_1', 'price_pro', 1, true), ('si_2', 'sub_2', 'price_pro', null, null),
    ('si_3', 'sub_3', 'price_dinar', 1, false), ('si_4', 'sub_4', 'price_pro', 1, false);
create table stripe.prices (id text primary key, unit_amount integer, currency text, recurring jsonb);
insert into stripe.prices values
    ('price_pro', 2900, 'eur', '{"interval": "month", "usage_type": "licensed", "interval_count": 1}'),
    ('price_dinar', 15000, 'kwd', '{"interval": "month", "interval_count": 3}');
