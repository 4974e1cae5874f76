-- Addresses that are not written to: letters to them came back for good, or the mail server refused them so.

create table undeliverable_addresses (
    address_digest text        primary key,
    recipient      text        not null,
    status         text        not null,
    source         text        not null check (source in ('report', 'refusal')),
    since          timestamptz not null
);
comment on column undeliverable_addresses.address_digest is 'See opora_contracts.mail_addresses: the address itself is nowhere but in the address book.';
comment on column undeliverable_addresses.source is 'report: intake told of it (customer.undeliverable). refusal: our mail server said so while we sent.';
