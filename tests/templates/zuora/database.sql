-- A made-up account whose price rises in March (two segments), one that ended, a one-off charge and an old version.
create schema zuora;
create table zuora.subscription (id text primary key, is_latest_version boolean, cancelled_date timestamp);
insert into zuora.subscription values
    ('s1v2', true, null), ('s1v1', false, null), ('s2v1', true, '2025-02-20 00:00:00');
create table zuora.account (id text primary key, currency text);
insert into zuora.account values ('acc_1', 'EUR'), ('acc_2', 'eur');
create table zuora.rate_plan_charge (
    id text primary key, original_id text, subscription_id text, account_id text, rate_plan_id text, name text, mrr numeric,
    transaction_currency text, effective_start_date timestamp, effective_end_date timestamp, version bigint, segment bigint,
    _fivetran_deleted boolean
);
insert into zuora.rate_plan_charge values
    ('c1', 'charge_1', 's1v2', 'acc_1', 'rp_1', 'Team', 100, null, '2025-01-01', '2025-03-01', 2, 1, false),
    ('c2', 'charge_1', 's1v2', 'acc_1', 'rp_1', 'Team', 120.5, 'EUR', '2025-03-01', '2026-01-01', 2, 2, false),
    ('c0', 'charge_1', 's1v1', 'acc_1', 'rp_1', 'Team', 100, 'EUR', '2025-01-01', '2026-01-01', 1, 1, false),
    ('c3', 'charge_2', 's2v1', 'acc_2', 'rp_2', null, 40, '', '2025-01-01', '2025-02-20', 1, 1, false),
    ('c4', 'charge_3', 's2v1', 'acc_2', 'rp_2', 'Setup', 0, 'EUR', '2025-01-01', '2025-01-01', 1, 1, false);
