-- Macros: several commands to a ticket under one name.

create table macros (
    name        text primary key,
    description text not null,
    operations  jsonb not null,
    version     integer not null,
    changed_at  timestamptz not null,
    changed_by  text not null
);
comment on table macros is 'At most 500. What was done by a macro stands in the timeline of its ticket, as if each command had come alone.';
