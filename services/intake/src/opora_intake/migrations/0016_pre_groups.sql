-- Groups whose tickets find their agents by a rule: members, and why each choice was made.

create table groups (
    name       text primary key,
    rule       text not null check (rule in ('manual', 'round_robin', 'least_loaded')),
    needs      jsonb not null,
    turns      bigint not null default 0,
    version    bigint not null,
    changed_at timestamptz not null,
    changed_by text not null
);
comment on column groups.turns is 'How often an agent was chosen here. Whoever chooses has this row locked.';

create table group_members (
    group_name text not null references groups on delete cascade,
    agent      text not null,
    skills     text[] not null,
    capacity   integer not null check (capacity between 1 and 1000),
    present    boolean not null,
    turn       bigint not null default 0,
    primary key (group_name, agent)
);
create index group_members_by_agent on group_members (agent, group_name);
comment on column group_members.capacity is 'With so many tickets of this group in work the rule gives no more.';
comment on column group_members.turn is 'The group''s turn at which the agent was last chosen; 0: never.';

create table assignment_choices (
    ticket_id  uuid not null references tickets,
    sequence   bigint not null,
    group_name text not null,
    rule       text not null,
    agent      text not null,
    needed     text[] not null,
    considered jsonb not null,
    time       timestamptz not null,
    primary key (ticket_id, sequence)
);
comment on table assignment_choices is 'Why an agent was chosen; sequence is the fact ticket.assigned that told of it.';

create index tickets_waiting on tickets ("group", priority, number)
    where "group" is not null and assignee is null and step in ('received', 'assessed', 'diagnosed', 'planned');
create index tickets_in_work on tickets ("group", assignee)
    where "group" is not null and assignee is not null and step in ('received', 'assessed', 'diagnosed', 'planned');
comment on index tickets_waiting is 'The tickets of a group that wait for an agent, in the order in which they are given.';
comment on index tickets_in_work is 'How many tickets of a group each agent has in work.';
