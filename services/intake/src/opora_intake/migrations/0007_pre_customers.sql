-- Customers with several addresses and phones, what they consented to, notes about them, contacts that were merged,
-- and imports of customers; contracts of organisations.

create table customer_emails (
    customer_id uuid not null references customers deferrable initially deferred,
    address     text not null,
    ordinal     integer not null
);
create unique index customer_emails_address on customer_emails (lower(address));
create index customer_emails_of on customer_emails (customer_id, ordinal);
comment on table customer_emails is 'Every address of every customer, of nobody twice; the one with the lowest ordinal is written to.';
comment on column customers.email is 'A copy of the first address in customer_emails, for the release before.';
insert into customer_emails (customer_id, address, ordinal) select id, email, 0 from customers where email is not null;

-- The release before writes customers.email alone: what it writes while an upgrade runs is an address all the same.
create function keep_customer_email() returns trigger language plpgsql as $$
begin
    insert into customer_emails (customer_id, address, ordinal)
    select new.id, new.email, coalesce(min(ordinal), 1) - 1 from customer_emails where customer_id = new.id
    on conflict do nothing;
    return null;
end $$;
create trigger keep_customer_email after insert or update of email on customers
    for each row when (new.email is not null) execute function keep_customer_email();

create table customer_phones (
    customer_id uuid not null references customers,
    number      text not null,
    ordinal     integer not null,
    primary key (customer_id, number)
);
create index customer_phones_number on customer_phones (number);
comment on table customer_phones is 'E.164. Several people may share a phone; the one with the lowest ordinal is called.';

create table customer_consents (
    id          uuid primary key,
    customer_id uuid not null references customers,
    purpose     text not null,
    given       boolean not null,
    at          timestamptz not null,
    source      text not null,
    recorded_at timestamptz not null,
    recorded_by text
);
create index customer_consents_of on customer_consents (customer_id, purpose, at desc, id desc);
comment on table customer_consents is 'Every statement of a customer about a purpose; the newest holds.';

create table customer_notes (
    id          uuid primary key,
    customer_id uuid not null references customers,
    body        text not null,
    author      text,
    written_at  timestamptz not null
);
create index customer_notes_of on customer_notes (customer_id, id);
comment on table customer_notes is 'What agents keep in mind about a customer. In no event.';

alter table customers add column merged_into uuid references customers check (merged_into <> id);
create index customers_merged on customers (merged_into) where merged_into is not null;
create index customers_by_name on customers (lower(name) text_pattern_ops);

create table customer_merges (
    id                  uuid primary key,
    customer_id         uuid not null references customers,
    into_id             uuid not null references customers,
    emails              text[] not null,
    phones              text[] not null,
    moved_phones        text[] not null,
    organization_filled uuid references organizations,
    merged_at           timestamptz not null,
    merged_by           text,
    undone_at           timestamptz,
    undone_by           text
);
create unique index customer_merges_standing on customer_merges (customer_id) where undone_at is null;
comment on table customer_merges is 'What each merge moved, so that it can be undone.';
comment on column customer_merges.emails is 'The addresses of the merged customer, in their order.';
comment on column customer_merges.moved_phones is 'Those of its phones that the other one had not.';
comment on column customer_merges.organization_filled is 'The organisation that the other one got from it, having none.';

create table customer_merge_moves (
    merge_id uuid not null references customer_merges,
    kind     text not null check (kind in ('ticket', 'note', 'consent')),
    moved_id uuid not null,
    primary key (merge_id, kind, moved_id)
);

create table customer_imports (
    id             uuid primary key,
    name           text not null unique,
    format         text not null check (format in ('csv', 'jsonl')),
    state          text not null default 'open' check (state in ('open', 'done', 'failed')),
    problem        text,
    received_bytes bigint not null default 0,
    next_line      bigint not null default 1,
    header         text[],
    carried        text not null default '',
    skipping       boolean not null default false,
    rows           bigint not null default 0,
    registered     bigint not null default 0,
    changed        bigint not null default 0,
    unchanged      bigint not null default 0,
    refused        bigint not null default 0,
    opened_at      timestamptz not null,
    opened_by      text,
    finished_at    timestamptz
);
comment on column customer_imports.carried is 'The beginning of a row whose end has not come yet.';
comment on column customer_imports.skipping is 'A line is being dropped that was refused for its length.';
comment on column customer_imports.next_line is 'The line of the file with which `carried` begins.';

create table customer_import_refusals (
    import_id uuid not null references customer_imports,
    line      bigint not null,
    field     text,
    reason    text not null,
    instead   text not null,
    primary key (import_id, line)
);

alter table organizations
    add column contract_number text,
    add column contract_valid_from date,
    add column contract_valid_until date;
create index organizations_by_name on organizations (lower(name) text_pattern_ops);
