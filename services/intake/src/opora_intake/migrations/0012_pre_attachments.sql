-- Files of tickets: their bytes lie outside the database under their SHA-256; and what was recorded to find a cause.

create table files (
    sha256     bytea primary key,
    size_bytes bigint not null,
    type       text not null,
    verdict    text not null check (verdict in ('clean', 'infected', 'unscanned')),
    finding    text,
    kept_at    timestamptz not null,
    scanned_at timestamptz
);
comment on table files is 'Every content once. A row is written after its bytes are durable, so that none is without them.';
comment on column files.type is 'What the first bytes speak of, never what a sender claims.';
create index files_unscanned on files (kept_at) where verdict = 'unscanned';

create table attachments (
    id         uuid primary key,
    ticket_id  uuid not null references tickets,
    message_id uuid references messages,
    letter_id  uuid references letters,
    sha256     bytea not null references files,
    name       text not null,
    claimed    text,
    content_id text,
    inline     boolean not null,
    actor      text,
    added_at   timestamptz not null
);
create index attachments_of_ticket on attachments (ticket_id, id);
create index attachments_of_file on attachments (sha256);
comment on column attachments.content_id is 'By which the HTML of its letter shows it (cid:).';

create table diagnostics (
    id            uuid primary key,
    ticket_id     uuid not null references tickets,
    kind          text not null check (kind in ('log', 'metrics', 'environment', 'trace', 'other')),
    name          text not null,
    value         text,
    url           text,
    attachment_id uuid references attachments,
    actor         text,
    recorded_at   timestamptz not null,
    check (num_nonnulls(value, url, attachment_id) = 1)
);
create index diagnostics_of_ticket on diagnostics (ticket_id, id);
