-- What sla keeps: agreements in versions; per ticket its facts, what was said of it, and its clocks as they stand.

create table agreements (
    id         uuid        not null,
    version    integer     not null check (version >= 1),
    document   jsonb       not null,
    created_at timestamptz not null,
    primary key (id, version)
);
comment on table agreements is 'A version is never changed: tickets pin the one that applied when they were created.';

create table cases (
    ticket_id         uuid        primary key,
    number            text        not null,
    external_source   text,
    external_id       text,
    import_id         text,
    domain            text        not null,
    partition         integer     not null,
    agreement_id      uuid        not null,
    agreement_version integer     not null,
    organization_id   uuid,
    tier              text,
    product           text,
    kind              text        not null,
    channel           text        not null,
    priority          text        not null,
    assignee          text,
    "group"           text,
    judged_at         timestamptz not null,
    next_fire_at      timestamptz,
    open              boolean     not null,
    last_sequence     bigint      not null,
    emitted_sequence  bigint      not null,
    foreign key (agreement_id, agreement_version) references agreements (id, version)
);
-- The due index: the timers ask, for each watermark (partition, domain), for the earliest next_fire_at before it.
create index cases_due on cases (partition, domain, next_fire_at) where next_fire_at is not null;
create index cases_of_import on cases (import_id) where import_id is not null;
create index cases_of_source on cases (external_source, ticket_id) where external_source is not null;
comment on column cases.domain is 'Whose time judges the ticket: empty = live, else the id of its open import.';
comment on column cases.next_fire_at is 'Time alone brings the next warning or breach just after this instant.';
comment on column cases.last_sequence is 'The ticket''s facts up to this one were taken in.';

create table case_facts (
    ticket_id uuid   not null references cases on delete cascade,
    sequence  bigint not null,
    fact      jsonb  not null,
    primary key (ticket_id, sequence)
);
comment on table case_facts is 'The facts that move clocks, reduced to what the fold needs; clocks are always their fold.';

create table fired_steps (
    ticket_id uuid    not null references cases on delete cascade,
    metric    text    not null,
    cycle     integer not null,
    step      text    not null,
    ordinal   bigint  not null,
    fired_at  timestamptz not null,
    primary key (ticket_id, metric, cycle, step, ordinal)
);
comment on table fired_steps is 'The primary key is the promise that no warning, breach or other step is said twice.';

create table clocks (
    ticket_id      uuid        not null references cases on delete cascade,
    metric         text        not null,
    cycle          integer     not null,
    outcome        text        not null,
    state          text        not null check (state in ('running', 'paused', 'stopped')),
    started_at     timestamptz not null,
    due_at         timestamptz,
    stopped_at     timestamptz,
    used_seconds   bigint      not null,
    target_seconds bigint      not null,
    priority       text        not null,
    judged_at      timestamptz not null,
    primary key (ticket_id, metric, cycle)
);
create index clocks_by_outcome on clocks (outcome, ticket_id, metric, cycle);
comment on column clocks.outcome is 'As the world was told.';
comment on column clocks.used_seconds is 'At judged_at, or at the stop.';

create table watermarks (
    partition       integer     not null,
    domain          text        not null,
    complete_before timestamptz not null,
    primary key (partition, domain)
);
comment on table watermarks is 'Every ticket fact of the partition (live, or of one import) before this instant was taken in.';

-- The agreement that applies when no other does. Operators write further versions of it.
insert into agreements (id, version, document, created_at) values (
    '01900000-0000-7000-8000-000000000001', 1,
    '{
      "name": "Standard support",
      "time_zone": "UTC",
      "holidays": [],
      "metrics": {
        "first_response": {
          "targets": { "P1": {"minutes": 15}, "P2": {"hours": 1}, "P3": {"hours": 4}, "P4": {"hours": 8}, "P5": {"hours": 24} },
          "pauses": [],
          "warn_at_percent": [75]
        },
        "next_response": {
          "targets": { "P1": {"minutes": 15}, "P2": {"hours": 1}, "P3": {"hours": 4}, "P4": {"hours": 8}, "P5": {"hours": 24} },
          "pauses": [],
          "warn_at_percent": [75]
        },
        "resolution": {
          "targets": { "P1": {"hours": 4}, "P2": {"hours": 8}, "P3": {"hours": 24}, "P4": {"hours": 72}, "P5": {"hours": 120} },
          "pauses": ["customer"],
          "warn_at_percent": [75],
          "until": "resolved"
        }
      },
      "conditions": {},
      "rank": 0
    }',
    '2024-01-01T00:00:00Z'
);
