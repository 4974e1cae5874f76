-- Who has a ticket open or writes on it at this moment, so that two do not do the same work.

create unlogged table ticket_presence (
    ticket_id uuid        not null references tickets,
    actor     text        not null,
    doing     text        not null,
    since     timestamptz not null,
    until     timestamptz not null,
    primary key (ticket_id, actor)
) with (fillfactor = 70);
create index ticket_presence_until on ticket_presence (until);
comment on table ticket_presence is 'Unlogged: after a crash of the server everybody says it again within seconds.';
comment on column ticket_presence.until is 'After that nobody is there who did not say it again.';
