-- Calendars that agreements name, in versions; what they take from elsewhere is kept with each version.

create table calendars (
    id         uuid        not null,
    version    integer     not null check (version >= 1),
    name       text        not null,
    document   jsonb       not null,
    closures   jsonb       not null,
    created_at timestamptz not null,
    primary key (id, version)
);
create unique index calendars_by_name on calendars (name) where version = 1;
comment on table calendars is 'A version is never changed: agreements pin the one that was current when they were written.';
comment on column calendars.name is 'The same in every version: agreements refer to it.';
comment on column calendars.closures is 'Public holidays and events of the feed, as they were when this version was written.';

create table calendar_sources (
    calendar_id     uuid        primary key,
    next_refresh_at timestamptz not null,
    read_at         timestamptz,
    failing_since   timestamptz,
    problem         text
);
create index calendar_sources_due on calendar_sources (next_refresh_at);
comment on table calendar_sources is 'Calendars that take something from elsewhere: when that was read last, and when it will be again.';

alter table agreements
    add column calendar_id uuid,
    add column calendar_version integer,
    add foreign key (calendar_id, calendar_version) references calendars (id, version),
    add check ((calendar_id is null) = (calendar_version is null));
comment on column agreements.calendar_id is 'The calendar that the document names. Null: its hours stand in the document.';

insert into calendars (id, version, name, document, closures, created_at) values (
    '01900000-0000-7000-8000-000000000024', 1, '24x7',
    '{"name": "24x7", "time_zone": "UTC", "breaks": {}, "holidays": [], "date_overrides": {}}',
    '{"public_holidays": [], "feed_days": [], "feed_times": []}',
    '2024-01-01T00:00:00Z'
);
