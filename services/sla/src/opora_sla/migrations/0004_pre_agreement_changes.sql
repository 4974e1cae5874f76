-- Open tickets that are to go over to a newer version of their agreement: each request, and how far it has come.

create table agreement_changes (
    id           uuid        primary key,
    agreement_id uuid        not null,
    to_version   integer     not null,
    created_from timestamptz,
    requested_at timestamptz not null,
    requested_by text        not null,
    position     uuid,
    examined     bigint      not null default 0,
    migrated     bigint      not null default 0,
    effects      jsonb       not null default '{}',
    finished_at  timestamptz,
    foreign key (agreement_id, to_version) references agreements (id, version)
);
create index agreement_changes_unfinished on agreement_changes (requested_at) where finished_at is null;
create index agreement_changes_of_agreement on agreement_changes (agreement_id, id);
comment on column agreement_changes.created_from is 'Only tickets that were created from then on; null: all that are open.';
comment on column agreement_changes.position is 'Tickets up to this id are done.';
comment on column agreement_changes.effects is 'How many clocks were newly breached, relieved, due earlier, due later, begun and dropped.';
