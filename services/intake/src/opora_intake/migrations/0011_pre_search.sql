-- Searching tickets: their words, written behind the tickets by one worker, and lists that agents keep.

create table ticket_search (
    ticket_id   uuid primary key references tickets on delete cascade,
    number      bigint not null,
    title_words tsvector not null,
    all_words   tsvector not null
);
comment on table ticket_search is 'What tickets are found by; a moment behind them. Weights: A title, B public messages, C internal notes.';
comment on column ticket_search.title_words is 'For callers who may read no messages: nothing that was written on the ticket can be found by it.';
create unique index ticket_search_number on ticket_search (number desc);
create index ticket_search_by_title on ticket_search using gin (title_words);
create index ticket_search_by_all on ticket_search using gin (all_words);
-- How common a word is decides by which words similar tickets are looked for: known for more words than by default.
alter table ticket_search alter column title_words set statistics 300;

create table customer_search (
    customer_id uuid primary key references customers on delete cascade,
    words       tsvector not null,
    trigrams    text[] not null
);
comment on table customer_search is 'What customers are found by: the words of name and address, and trigrams for misspelt ones.';
create index customer_search_by_words on customer_search using gin (words);
create index customer_search_by_trigrams on customer_search using gin (trigrams);

create table search_words (
    word     text primary key,
    uses     bigint not null,
    trigrams text[] not null
);
comment on table search_words is 'The words of all titles, and how many tickets had each: for misspelt queries and similar tickets.';
create index search_words_by_trigrams on search_words using gin (trigrams);

create table search_queue (
    id          bigint generated always as identity primary key,
    ticket_id   uuid,
    customer_id uuid
);
comment on table search_queue is 'What changed and is to be looked at by the worker that keeps the search. No reference: it must cost a write little.';

create function queue_new_tickets() returns trigger language plpgsql as $$
begin
    insert into search_queue (ticket_id) select id from added;
    return null;
end $$;
create trigger tickets_are_searched after insert on tickets
    referencing new table as added for each statement execute function queue_new_tickets();

create function queue_retitled_tickets() returns trigger language plpgsql as $$
begin
    insert into search_queue (ticket_id)
    select after.id from after join before using (id) where after.title is distinct from before.title;
    return null;
end $$;
create trigger titles_are_searched after update on tickets
    referencing old table as before new table as after for each statement execute function queue_retitled_tickets();

create function queue_messages() returns trigger language plpgsql as $$
begin
    -- The message of a ticket that is queued by the same transaction finds it there; the worker looks once at either.
    insert into search_queue (ticket_id) select distinct ticket_id from added;
    return null;
end $$;
create trigger messages_are_searched after insert on messages
    referencing new table as added for each statement execute function queue_messages();

create function queue_new_customers() returns trigger language plpgsql as $$
begin
    insert into search_queue (customer_id) select id from added;
    return null;
end $$;
create trigger customers_are_searched after insert on customers
    referencing new table as added for each statement execute function queue_new_customers();

create function queue_renamed_customers() returns trigger language plpgsql as $$
begin
    insert into search_queue (customer_id)
    select after.id from after join before using (id)
    where (after.name, after.email) is distinct from (before.name, before.email);
    return null;
end $$;
create trigger names_are_searched after update on customers
    referencing old table as before new table as after for each statement execute function queue_renamed_customers();

-- What was there before is searched as well, as soon as the worker has come to it.
insert into search_queue (ticket_id) select id from tickets order by number desc;
insert into search_queue (customer_id) select id from customers;

create table views (
    id         uuid primary key,
    name       text not null,
    query      jsonb not null,
    owner      text not null,
    shared     boolean not null,
    position   integer not null,
    changed_at timestamptz not null
);
comment on table views is 'Lists that somebody keeps. The owner is an actor; a shared one is seen by all and changed by its owner.';
create unique index views_once on views (owner, lower(name));
create index views_shared on views (position, id) where shared;
