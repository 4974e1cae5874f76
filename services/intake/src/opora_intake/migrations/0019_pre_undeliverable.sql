-- Addresses to which letters come back for good, until somebody clears them or a letter comes from there.

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
