-- Two campaigns: anna opens and clicks the first, ben only receives it; the flow's mail to ben bounces.
create schema klaviyo;
create table klaviyo.person (id text primary key, email text);
insert into klaviyo.person values ('p1', 'Anna@example.com '), ('p2', 'ben@example.com'), ('p3', null);
create table klaviyo.event (
    id text primary key, person_id text, campaign_id text, flow_id text, flow_message_id text, type text,
    datetime timestamp, metric_id text, _fivetran_deleted boolean
);
insert into klaviyo.event values
    ('e1', 'p1', 'camp_1', null, null, 'Received Email', '2025-02-03 08:00:00', 'm1', false),
    ('e2', 'p1', 'camp_1', null, null, 'Opened Email', '2025-02-03 09:00:00', 'm2', false),
    ('e3', 'p1', 'camp_1', null, null, 'Opened Email', '2025-02-03 09:00:00', 'm2', false),
    ('e4', 'p1', 'camp_1', null, null, 'Clicked Email', '2025-02-03 09:01:00', 'm3', false),
    ('e5', 'p2', 'camp_1', null, null, 'Received Email', '2025-02-03 08:00:00', 'm1', false),
    ('e6', 'p2', null, 'flow_1', 'flow_1_mail_2', 'Bounced Email', '2025-02-10 08:00:00', 'm4', false),
    ('e7', 'p2', null, null, null, 'Placed Order', '2025-02-11 08:00:00', 'm5', false),
    ('e8', 'p3', 'camp_1', null, null, 'Received Email', '2025-02-03 08:00:00', 'm1', false),
    ('e9', 'p2', 'camp_1', null, null, 'Opened Email', '2025-02-04 08:00:00', 'm2', true);
