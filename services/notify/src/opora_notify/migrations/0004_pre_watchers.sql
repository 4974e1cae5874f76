-- Who watches a ticket is told what its requester is told. A table of its own: the release before reads whole rows of
-- tickets, and knows no further column.

create table ticket_watchers (
    ticket_id uuid primary key references tickets,
    watchers  text[] not null
);
comment on column ticket_watchers.watchers is '`agent:` or `customer:` and the id, in the order in which they came.';
