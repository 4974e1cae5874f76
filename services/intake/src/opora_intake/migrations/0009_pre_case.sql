-- The case: what each step leaves behind, under which profile a cycle is worked, and how cases are worked, in versions.

alter table tickets add column component text;
alter table tickets add column profile text not null default 'light';

create table step_records (
    ticket_id uuid not null references tickets,
    sequence  bigint not null,
    cycle     integer not null,
    step      text not null,
    time      timestamptz not null,
    actor     text,
    content   jsonb not null,
    primary key (ticket_id, sequence)
);
comment on table step_records is 'The record of each step that was taken; of those of one step in a cycle the newest counts.';
comment on column step_records.sequence is 'The fact that announced the step.';

create table case_settings (
    version    bigint primary key,
    changed_at timestamptz not null,
    changed_by text not null,
    document   jsonb not null
);
comment on table case_settings is 'How cases are worked: the newest version is in force. No row: what the process was set to.';
