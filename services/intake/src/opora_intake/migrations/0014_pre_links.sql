-- Tickets that belong together: links, merging, splitting.

create table ticket_links (
    from_id  uuid not null references tickets,
    to_id    uuid not null references tickets,
    relation text not null,
    since    timestamptz not null,
    actor    text,
    primary key (from_id, to_id, relation),
    check (from_id <> to_id)
);
create index ticket_links_to on ticket_links (to_id, relation);
comment on table ticket_links is 'Each link once, from the end that names it; of two related tickets from the lower id.';

alter table tickets add column merged_into uuid references tickets;
create index tickets_merged_into on tickets (merged_into) where merged_into is not null;
comment on column tickets.merged_into is 'The ticket that goes on for this one.';

alter table messages add column moved_to uuid references tickets;
create index messages_moved on messages (moved_to) where moved_to is not null;
comment on column messages.moved_to is 'The ticket that shows the message since it was split off; ticket_id and sequence tell where it was written.';
