-- A ticket that is answered and solved, one that was reopened and is open, one deleted, one without a known requester.
create schema zendesk;
create table zendesk."user" (id bigint primary key, email text);
insert into zendesk."user" values (1, 'anna@example.com'), (2, 'Ben@Example.com'), (9, 'agent@example.org');
create table zendesk.ticket (
    id bigint primary key, requester_id bigint, created_at timestamp, status text, type text, via_channel text
);
insert into zendesk.ticket values
    (100, 1, '2025-02-03 09:00:00', 'solved', 'question', 'email'), (101, 2, '2025-02-05 10:00:00', 'open', 'problem', 'web'),
    (102, 1, '2025-02-06 10:00:00', 'deleted', null, 'web'), (103, 77, '2025-02-07 10:00:00', 'closed', null, 'web');
create table zendesk.ticket_comment (id bigint, ticket_id bigint, user_id bigint, created timestamp, public boolean);
insert into zendesk.ticket_comment values
    (1, 100, 1, '2025-02-03 09:00:00', true), (2, 100, 9, '2025-02-03 10:00:00', false), (3, 100, 9, '2025-02-03 12:30:00', true),
    (4, 101, 9, '2025-02-05 11:00:00', true);
create table zendesk.ticket_field_history (ticket_id bigint, field_name text, value text, updated timestamp, user_id bigint);
insert into zendesk.ticket_field_history values
    (100, 'status', 'solved', '2025-02-04 09:00:00', 9), (101, 'status', 'solved', '2025-02-05 12:00:00', 9),
    (101, 'status', 'open', '2025-02-06 08:00:00', 2), (103, 'status', 'solved', '2025-02-07 20:00:00', 9),
    (103, 'status', 'closed', '2025-02-11 20:00:00', 9), (100, 'priority', 'solved', '2025-02-09 09:00:00', 9);
