-- Webhooks of other systems: who may send them, each delivery as it came, and the senders' cases with their tickets.

create table hook_sources (
    name       text primary key,
    rules      jsonb not null,
    secrets    text[] not null,
    created_at timestamptz not null,
    created_by text not null,
    changed_at timestamptz not null,
    changed_by text not null
);
comment on column hook_sources.rules is 'opora_intake.domain.hook_sources.HookRules.';
comment on column hook_sources.secrets is 'As they are, since signatures are made of them; no interface gives them out.';

create table hook_deliveries (
    id           uuid primary key,
    hook         text not null,
    received_at  timestamptz not null,
    delivery_key text,
    headers      jsonb not null,
    raw          bytea not null,
    state        text not null default 'received' check (state in ('received', 'handled', 'quarantined')),
    outcome      text,
    reason       text,
    ticket_id    uuid references tickets,
    attempts     integer not null default 0,
    is_leased    boolean not null default false,
    due_at       timestamptz,
    handled_at   timestamptz,
    check ((state = 'received') = (due_at is not null))
);
create unique index hook_deliveries_once on hook_deliveries (hook, delivery_key) where delivery_key is not null;
create index hook_deliveries_waiting on hook_deliveries (due_at) where state = 'received';
create index hook_deliveries_in_order on hook_deliveries (hook, id) where state = 'received' and is_leased;
create index hook_deliveries_of on hook_deliveries (hook, id);
create index hook_deliveries_by_state on hook_deliveries (state, id);
create index hook_deliveries_of_ticket on hook_deliveries (ticket_id) where ticket_id is not null;
comment on table hook_deliveries is 'Every delivery that was acknowledged: kept as it came, whatever becomes of it.';
comment on column hook_deliveries.hook is 'The name of its source, which may be gone by now.';
comment on column hook_deliveries.delivery_key is 'What makes two deliveries one; null where the sender says nothing of the kind.';
comment on column hook_deliveries.headers is 'Those that say what the body is; none that prove who sent it.';
comment on column hook_deliveries.due_at is 'When it is looked at next, or when the lease of whoever handles it ends.';

create table hook_cases (
    hook      text not null,
    key       text not null,
    ticket_id uuid references tickets,
    tickets   integer not null,
    ongoing   boolean not null,
    parts     jsonb not null,
    primary key (hook, key)
);
comment on table hook_cases is 'What senders speak of, by the key that they keep, and the present ticket of each.';
