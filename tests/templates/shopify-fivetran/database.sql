-- A made-up shop: anna buys twice and gets part of the second order back with its shipping, ben cancels, a guest pays
-- without an account, one order is deleted, one is a test.
create schema shopify;
create table shopify."order" (
    id bigint primary key, name text, email text, customer_id bigint, created_at timestamp, cancelled_at timestamp,
    currency text, total_price numeric, financial_status text, source_name text, test boolean,
    billing_address_country text, _fivetran_deleted boolean, _fivetran_synced timestamp
);
insert into shopify."order" values
    (1, '#1001', 'anna@example.com', 501, '2025-01-10 09:00:00', null, 'EUR', 40.00, 'paid', 'web', false, 'Netherlands', false, now()),
    (2, '#1002', 'anna@example.com', 501, '2025-02-12 10:00:00', null, 'EUR', 100.00, 'partially_refunded', 'web', false, 'Netherlands', false, now()),
    (3, '#1003', 'ben@example.com', 502, '2025-02-15 11:00:00', '2025-02-16 08:00:00', 'EUR', 70.00, 'voided', 'pos', false, 'Belgium', null, now()),
    (4, '#1004', ' Guest@Example.com ', null, '2025-02-20 12:00:00', null, 'EUR', 25.00, 'PAID', 'web', false, null, false, now()),
    (5, '#1005', 'ben@example.com', 502, '2025-02-21 12:00:00', null, 'EUR', 60.00, 'paid', 'web', false, 'Belgium', true, now()),
    (6, '#1006', 'staff@example.com', 503, '2025-02-22 12:00:00', null, 'EUR', 1.00, 'paid', 'web', true, null, false, now());
create table shopify.refund (id bigint primary key, order_id bigint, created_at timestamp);
insert into shopify.refund values (71, 2, '2025-02-18 09:00:00'), (72, 2, '2025-03-02 09:00:00');
create table shopify.order_line_refund (id bigint, refund_id bigint, subtotal numeric, total_tax numeric);
insert into shopify.order_line_refund values (1, 71, 20.00, 4.20), (2, 72, 10.00, 2.10);
create table shopify.order_adjustment (id bigint, order_id bigint, refund_id bigint, amount numeric, tax_amount numeric);
insert into shopify.order_adjustment values (1, 2, 72, -5.00, -0.70);
create table shopify.customer (id bigint primary key, email text, created_at timestamp);
insert into shopify.customer values
    (501, 'anna@example.com', '2024-12-31 23:30:00'), (502, 'ben@example.com', '2025-02-15 10:59:00'),
    (503, 'staff@example.com', '2025-01-01 00:00:00');
