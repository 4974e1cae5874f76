-- Problems gather incidents: what helps meanwhile, and what is announced to everybody who is affected.

create table known_errors (
    ticket_id  uuid primary key references tickets,
    workaround text        not null,
    version    integer     not null,
    changed_at timestamptz not null,
    changed_by text        not null
);
comment on table known_errors is 'Problems for which a workaround is known. The cause is in the record of the diagnosis.';

create table announcements (
    id              uuid primary key,
    problem_id      uuid        not null references tickets,
    body            text        not null,
    after           text        not null,
    resolves        boolean     not null,
    resolution_code text        not null,
    asked_at        timestamptz not null,
    asked_by        text        not null,
    position        uuid,
    told            integer     not null default 0,
    resolved        integer     not null default 0,
    passed_over     integer     not null default 0,
    finished_at     timestamptz,
    withdrawn_at    timestamptz
);
create index announcements_of_problem on announcements (problem_id, id);
create index announcements_unfinished on announcements (id) where finished_at is null and withdrawn_at is null;
comment on column announcements.after is 'now, or resolved: when the problem is.';
comment on column announcements.position is 'Incidents up to this id are done.';

create table announced_incidents (
    announcement_id uuid not null references announcements,
    ticket_id       uuid not null references tickets,
    outcome         text not null,
    reason          text,
    primary key (announcement_id, ticket_id)
);
comment on table announced_incidents is 'What became of each incident that the problem had: told, resolved, passed_over.';
