-- Customers, organisations, tickets, what was written on them, what happened to them, and imports of history.
-- Times are the platform's clock, given by the application; only `joined_imports` has the server's own.

create table organizations (
    id        uuid primary key,
    name      text not null,
    tier      text,
    time_zone text not null,
    version   bigint not null,
    last_time timestamptz not null
);

create table organization_domains (
    domain          text primary key check (domain = lower(domain)),
    organization_id uuid not null references organizations
);
create index organization_domains_of on organization_domains (organization_id);
comment on table organization_domains is 'Whoever writes from one of these e-mail domains belongs to the organisation.';

create table customers (
    id              uuid primary key,
    name            text not null,
    email           text,
    language        text not null,
    time_zone       text not null,
    organization_id uuid references organizations,
    version         bigint not null,
    last_time       timestamptz not null
);
create unique index customers_email on customers (lower(email));
create index customers_of_organization on customers (organization_id, id);

create table imports (
    id          uuid primary key,
    name        text not null unique,
    watermark   timestamptz,
    tickets     bigint not null default 0,
    facts       bigint not null default 0,
    opened_at   timestamptz not null,
    closed_at   timestamptz,
    joined_at   timestamptz
);
comment on column imports.watermark is 'The importer has given every entry that happened before; null as long as it said nothing.';
comment on column imports.joined_at is 'When the last open ticket of a closed import had joined live time.';

create table joined_imports (
    import_id   uuid primary key references imports,
    recorded_at timestamptz not null default clock_timestamp()
);
comment on table joined_imports is 'When each import had joined live time, in real time: how long marks are still told is no domain time.';

create view import_marks as
select imports.id as import_id,
       case when joined_at is null then watermark else closed_at end as complete_before
from imports left join joined_imports on joined_imports.import_id = imports.id
where (joined_at is null and watermark is not null)
   or joined_imports.recorded_at > clock_timestamp() - interval '1 hour';
comment on view import_marks is 'For progress marks: until when the history of each import is complete. A joined import is complete
before its closing, since no entry can lie later; it is still told for an hour, to consumers that lag.';

create sequence ticket_numbers start 1001;

create table tickets (
    id                 uuid primary key,
    number             bigint not null unique,
    title              text not null,
    channel            text not null,
    kind               text not null,
    language           text not null,
    impact             text not null,
    urgency            text not null,
    priority           text not null,
    priority_explicit  boolean not null,
    requester_id       uuid references customers,
    organization_id    uuid references organizations,
    tier               text,
    product            text,
    category           text,
    "group"            text,
    assignee           text,
    external_source    text,
    external_id        text,
    import_id          uuid references imports,
    import_ordinal     integer not null,
    step               text not null,
    step_changed_at    timestamptz not null,
    waiting_on         text,
    waiting_changed_at timestamptz not null,
    cycle              integer not null,
    cycle_started_at   timestamptz not null,
    resolution_code    text,
    cause              text,
    planned_for        timestamptz,
    opened_at          timestamptz not null,
    resolved_at        timestamptz,
    closed_at          timestamptz,
    last_time          timestamptz not null,
    version            bigint not null,
    unique (external_source, external_id)
);
comment on column tickets.import_id is 'The import to which the ticket still belongs; null once it lives by live time.';
comment on column tickets.version is 'The number of its facts, and the sequence of the newest.';
create index tickets_open on tickets (number desc) where step <> 'closed';
create index tickets_of_requester on tickets (requester_id, number desc);
create index tickets_of_organization on tickets (organization_id, number desc);
create index tickets_of_assignee on tickets (assignee, number desc) where assignee is not null;
create index tickets_of_group on tickets ("group", number desc) where "group" is not null;
create index tickets_by_opening on tickets (opened_at);
create index tickets_by_title on tickets (lower(title) text_pattern_ops);
create index tickets_of_import on tickets (import_id, id) where import_id is not null;

create table messages (
    id          uuid primary key,
    ticket_id   uuid not null references tickets,
    visibility  text not null,
    author_kind text not null,
    author      text,
    channel     text not null,
    body        text not null,
    written_at  timestamptz not null,
    sequence    bigint not null,
    unique (ticket_id, sequence)
);
comment on column messages.sequence is 'The fact that announced the message.';

create table timeline (
    ticket_id   uuid not null references tickets,
    sequence    bigint not null,
    type        text not null,
    time        timestamptz not null,
    recorded_at timestamptz not null,
    actor       text,
    data        jsonb not null,
    primary key (ticket_id, sequence)
);
comment on table timeline is 'Every fact of every ticket as it was published: the audit trail.';
