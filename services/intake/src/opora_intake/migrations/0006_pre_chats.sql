-- Chats of visitors with agents, message by message.

create table chats (
    id              uuid primary key,
    token_hash      bytea not null,
    name            text,
    email           text,
    customer_id     uuid references customers,
    product         text,
    language        text,
    "group"         text,
    ticket_id       uuid references tickets,
    messages        integer not null default 0,
    answered_at     timestamptz,
    waiting_since   integer,
    opened_at       timestamptz not null,
    opened_by       text not null,
    last_written_at timestamptz not null,
    closed_at       timestamptz,
    closed_by       text
);
create index chats_open on chats (last_written_at) where closed_at is null;
create index chats_of_ticket on chats (ticket_id) where ticket_id is not null;
comment on column chats.token_hash is 'SHA-256 of the visitor''s token, which holds 256 random bits.';
comment on column chats.answered_at is 'When an agent wrote first after the visitor did.';
comment on column chats.waiting_since is 'The sequence of the first message of the visitor that no agent has answered; null when none waits.';

create table chat_messages (
    chat_id    uuid not null references chats,
    sequence   integer not null,
    client_id  uuid,
    side       text not null check (side in ('visitor', 'agent')),
    author     text,
    body       text not null,
    written_at timestamptz not null,
    primary key (chat_id, sequence)
);
create unique index chat_messages_once on chat_messages (chat_id, client_id) where client_id is not null;
comment on column chat_messages.client_id is 'Given by whoever wrote, so that a message that is sent again is one.';
