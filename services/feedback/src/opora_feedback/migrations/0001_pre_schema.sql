-- Every closing that was judged, asked or not: its primary key is what makes "at most one survey per
-- (ticket, cycle)" true even when the same fact is delivered again after a restore.
create table closings (
    ticket_id       uuid        not null,
    cycle           integer     not null check (cycle >= 1),
    closed_at       timestamptz not null,
    resolution_code text        not null,
    verdict         text        not null,
    requester_id    uuid,
    organization_id uuid,
    assignee        text,
    support_group   text,
    product         text,
    category        text,
    primary key (ticket_id, cycle)
);

-- When a person was last asked about any ticket. Its row lock makes "once in N days" hold between partitions.
create table asked_customers (
    customer_id   uuid primary key,
    last_asked_at timestamptz
);

create table surveys (
    survey_id    uuid        primary key,
    ticket_id    uuid        not null,
    cycle        integer     not null,
    customer_id  uuid        not null,
    language     text        not null,
    requested_at timestamptz not null,
    expires_at   timestamptz not null,
    state        text        not null check (state in ('requested', 'answered', 'expired')),
    score        smallint    check (score between 1 and 5),
    comment      text        check (length(comment) <= 5000),
    answered_at  timestamptz,
    alerted_at   timestamptz,
    unique (ticket_id, cycle),
    foreign key (ticket_id, cycle) references closings,
    check ((state = 'answered') = (score is not null))
);
create index surveys_to_expire on surveys (expires_at) where state = 'requested';
create index surveys_answered on surveys (answered_at, survey_id) where state = 'answered';

-- The number of the last fact that feedback told about a ticket: locked before each fact.
create table journals (
    ticket_id uuid        primary key,
    sequence  bigint      not null,
    last_at   timestamptz
);
