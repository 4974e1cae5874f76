-- Mailboxes that are polled by IMAP: how far each was read, and every message that was seen in it.

create table mailboxes (
    name             text primary key,
    uid_validity     bigint,
    next_uid         bigint not null default 1,
    first_contact_at timestamptz,
    polled_at        timestamptz,
    failing_since    timestamptz,
    last_error       text,
    leased_until     timestamptz,
    lease_id         uuid
);
comment on table mailboxes is 'One row per mailbox and folder of the settings, made at its first poll.';
comment on column mailboxes.uid_validity is 'UIDs mean something only beside it (RFC 9051 §2.3.1.1); null before the first contact.';
comment on column mailboxes.next_uid is 'Every smaller UID is in mailbox_messages, or stood there before the first contact.';

create table mailbox_messages (
    mailbox      text not null references mailboxes,
    uid_validity bigint not null,
    uid          bigint not null,
    state        text not null default 'wanted' check (state in ('wanted', 'taken', 'settled', 'gone')),
    letter_id    uuid references letters,
    primary key (mailbox, uid_validity, uid),
    check ((state in ('taken', 'settled')) = (letter_id is not null))
);
create index mailbox_messages_open on mailbox_messages (mailbox, uid) where state in ('wanted', 'taken');
comment on column mailbox_messages.state is
'wanted: to be fetched; taken: kept as a letter; settled: and the server was told; gone: deleted before it was fetched.';
