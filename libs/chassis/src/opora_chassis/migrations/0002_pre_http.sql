-- What every service's HTTP interface holds: who may call it, and the answers that a repeated write gets again.

create table api_keys (
    id         uuid primary key,
    name       text        not null,
    hash       bytea       not null unique,
    scopes     text[]      not null,
    created_at timestamptz not null,
    expires_at timestamptz,
    revoked_at timestamptz
);
comment on column api_keys.hash is 'SHA-256 of the token; the token itself is shown once, when it is made, and stored nowhere.';

create table idempotency_keys (
    caller       uuid        not null,
    key          text        not null,
    method       text        not null,
    path         text        not null,
    request_hash bytea       not null,
    status       integer,
    body         text,
    created_at   timestamptz not null default now(),
    primary key (caller, key)
);
create index idempotency_keys_age on idempotency_keys (created_at);
comment on table idempotency_keys is 'A write claims its row in its own transaction, so an answer is stored exactly when the write is.';
comment on column idempotency_keys.created_at is 'Real time: how long a row is kept does not follow the platform''s clock.';
comment on column idempotency_keys.body is 'The answer''s JSON as it was sent, byte for byte.';
