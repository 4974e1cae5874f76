-- Telephone calls as agents log them.

create table calls (
    id            uuid primary key,
    ticket_id     uuid not null references tickets,
    message_id    uuid,
    customer_id   uuid references customers,
    direction     text not null check (direction in ('inbound', 'outbound')),
    number        text,
    number_given  text,
    was_answered  boolean not null,
    started_at    timestamptz not null,
    ended_at      timestamptz not null,
    opened_ticket boolean not null,
    logged_at     timestamptz not null,
    logged_by     text not null,
    check (started_at <= ended_at)
);
create index calls_of_ticket on calls (ticket_id, id);
create index calls_of_customer on calls (customer_id, id) where customer_id is not null;
create index calls_with_number on calls (number, id) where number is not null;
comment on column calls.number is 'In E.164, where what was given is a valid number.';
comment on column calls.message_id is 'What the call left on its ticket.';
