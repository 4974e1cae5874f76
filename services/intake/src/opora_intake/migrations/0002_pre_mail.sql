-- Letters as they came, before anybody looked into them, and what mail servers reported about deliveries.

create table letters (
    id            uuid primary key,
    received_at   timestamptz not null,
    channel       text not null,
    envelope_from text,
    envelope_to   text[] not null,
    raw           bytea not null,
    sha256        bytea not null,
    identity      bytea not null,
    message_id    text,
    state         text not null default 'received' check (state in ('received', 'handled', 'quarantined')),
    outcome       text,
    reason        text,
    ticket_id     uuid references tickets,
    attempts      integer not null default 0,
    due_at        timestamptz,
    handled_at    timestamptz,
    check ((state = 'received') = (due_at is not null))
);
-- Letters are compressed already where they are large (images, archives); a second try costs time only.
alter table letters alter column raw set storage external;
create unique index letters_once on letters (identity);
create index letters_waiting on letters (due_at) where state = 'received';
create index letters_by_state on letters (state, id);
create index letters_of_ticket on letters (ticket_id) where ticket_id is not null;
comment on table letters is 'Every letter that was acknowledged: kept as it came, whatever becomes of it.';
comment on column letters.envelope_from is 'MAIL FROM; empty for the null sender, null where the channel does not know it.';
comment on column letters.identity is 'What makes two copies one letter: see opora_intake.mail.identity.';
comment on column letters.due_at is 'When it is looked at next, or when the lease of whoever handles it ends.';

create table deliveries (
    id                  uuid primary key,
    recipient           text not null,
    outcome             text not null,
    status              text not null,
    permanent           boolean not null,
    diagnostic          text not null,
    original_message_id text,
    letter_id           uuid not null references letters,
    reported_at         timestamptz not null
);
create index deliveries_to on deliveries (lower(recipient), id);
comment on table deliveries is 'What mail servers reported about letters to an address: facts on a contact, never tickets.';
