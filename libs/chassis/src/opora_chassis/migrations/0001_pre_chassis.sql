-- What every service's database holds for delivery: the outbox, the guards against duplicates and gaps, dead letters.

create table outbox (
    id         bigint generated always as identity primary key,
    topic      text     not null,
    partition  integer  not null,
    key        bytea    not null,
    value      bytea    not null,
    headers    text     not null,
    created_at timestamptz not null default clock_timestamp()
);
comment on column outbox.headers is '[[name, value], …] as JSON; nothing in the database reads it.';
comment on table outbox is 'Facts to be published, in commit order per key; the relay deletes a row when the broker has it.';
-- A relay shard reads its partitions in id order; the table is short, so the primary key serves that.

create table applied (
    consumer text   not null,
    source   text   not null,
    subject  text   not null,
    sequence bigint not null,
    primary key (consumer, source, subject)
);
comment on table applied is 'The last sequence that was applied per aggregate: duplicates and gaps are seen against it.';

create table inbox (
    consumer    text not null,
    source      text not null,
    event_id    text not null,
    received_at timestamptz not null default now(),
    primary key (consumer, source, event_id)
);
create index inbox_age on inbox (received_at);
comment on table inbox is 'Foreign events that were handled: the same (source, id) again is a duplicate.';

create table parked_keys (
    consumer  text not null,
    key       text not null,
    parked_at timestamptz not null default now(),
    primary key (consumer, key)
);
comment on table parked_keys is 'Keys whose events wait in dead_letters, in order, until the first of them is redriven or discarded.';

create table dead_letters (
    id          uuid primary key,
    position    bigint generated always as identity,
    consumer    text not null,
    key         text not null,
    topic       text not null,
    partition   integer not null,
    "offset"    bigint not null,
    raw_key     bytea,
    value       bytea,
    headers     jsonb not null,
    reason_code text not null,
    reason      text not null,
    attempts    integer not null,
    created_at  timestamptz not null default now(),
    unique (consumer, topic, partition, "offset")
);
create index dead_letters_of_key on dead_letters (consumer, key, position);
comment on column dead_letters.reason_code is 'queued = waits behind an earlier event of its key; anything else says why it failed.';
comment on column dead_letters.headers is '[[name, base64 of the bytes or null], …]: bytes are kept as they came.';
