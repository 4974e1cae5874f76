-- Who watches a ticket is told what its requester is told.

alter table tickets add column watchers text[] not null default '{}';
comment on column tickets.watchers is '`agent:` or `customer:` and the id.';
