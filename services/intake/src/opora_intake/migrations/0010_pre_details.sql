-- Tags, watchers, and values of fields that the installation has settled for itself.

alter table tickets add column tags text[] not null default '{}';
alter table tickets add column watchers text[] not null default '{}';
alter table tickets add column fields jsonb not null default '{}';
create index tickets_by_tag on tickets using gin (tags) where tags <> '{}';
