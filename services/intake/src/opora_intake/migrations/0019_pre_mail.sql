-- Addresses to which letters come back for good, until somebody clears them or a letter comes from there; and the
-- refresh tokens that authorization servers have given for mailboxes.

create table undeliverable_addresses (
    id         uuid primary key,
    address    text not null,
    status     text not null,
    diagnostic text not null,
    letter_id  uuid not null references letters,
    since      timestamptz not null
);
create unique index undeliverable_addresses_once on undeliverable_addresses (lower(address));
comment on table undeliverable_addresses is 'Proven by a report that returned a letter of ours; shown on the customer who has the address.';

create table mailbox_refresh_tokens (
    mailbox       text primary key,
    configured    bytea not null,
    refresh_token text not null,
    saved_at      timestamptz not null
);
comment on table mailbox_refresh_tokens is 'What a server gave in place of the configured refresh token, which it may not take again (RFC 6749 §6).';
comment on column mailbox_refresh_tokens.configured is 'SHA-256 of the configured one: another one configured since then counts instead.';
