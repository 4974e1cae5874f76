-- What notify knows of each ticket, from the facts themselves: enough to address and to name it.
create table tickets (
    ticket_id     uuid primary key,
    number        text not null,
    title         text not null,
    language      text not null,
    priority      text not null,
    requester_id  uuid,
    assignee      text,
    support_group text,
    product       text,
    category      text
);

-- The address book: customers follow the facts, agents and groups are put through the interface.
create table customers (
    customer_id uuid primary key,
    name        text not null,
    email       text,
    language    text not null,
    time_zone   text not null
);
create table agents (
    agent_id  text   primary key,
    name      text   not null,
    email     text   not null,
    language  text   not null,
    time_zone text   not null,
    groups    text[] not null
);
create table support_groups (
    name text primary key,
    lead text not null
);

-- Every saved set of rules is kept, with who saved it; the newest holds. None saved: the packaged defaults hold.
create table rule_sets (
    version  bigint      primary key,
    rules    jsonb       not null,
    saved_at timestamptz not null,
    saved_by text        not null
);

create table webhook_endpoints (
    endpoint_id     uuid        primary key,
    url             text        not null,
    event_types     text[]      not null,
    secret          text        not null,
    created_at      timestamptz not null,
    created_by      text        not null,
    disabled_at     timestamptz,
    disabled_reason text
);

-- The delivery ledger. Its unique key makes one message of one event per channel and recipient, however often the
-- event is delivered. `due_at` is the next attempt while pending, and the end of the lease while sending.
create table notifications (
    notification_id uuid        primary key,
    event_source    text        not null,
    event_id        text        not null,
    event_type      text        not null,
    event           jsonb       not null,
    ticket_id       uuid,
    rule            text        not null,
    template        text        not null,
    channel         text        not null check (channel in ('email', 'webhook')),
    recipient       text        not null,
    address         text,
    state           text        not null check (state in ('pending', 'sending', 'delivered', 'failed', 'suppressed')),
    attempts        integer     not null default 0,
    resends         integer     not null default 0,
    told            bigint      not null default 0,
    reason          text,
    created_at      timestamptz not null,
    due_at          timestamptz,
    finished_at     timestamptz,
    unique (event_source, event_id, channel, recipient),
    check ((state in ('pending', 'sending')) = (due_at is not null))
);
create index notifications_due on notifications (channel, due_at) where state in ('pending', 'sending');
create index notifications_of_ticket on notifications (ticket_id, notification_id);
create index notifications_by_state on notifications (state, notification_id);
comment on column notifications.event is 'The event as a structured CloudEvent: what a webhook sends and a letter is written from.';
comment on column notifications.told is 'How many facts were published about this notification.';
