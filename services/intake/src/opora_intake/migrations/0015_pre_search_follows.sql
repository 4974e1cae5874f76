-- The search follows what is no part of a ticket's or a customer's own row: messages that a split moves, and addresses.

create function queue_moved_messages() returns trigger language plpgsql as $$
begin
    insert into search_queue (ticket_id)
    select distinct told.ticket_id
    from after join before using (id),
        lateral (values (after.ticket_id), (before.moved_to), (after.moved_to)) as told (ticket_id)
    where after.moved_to is distinct from before.moved_to and told.ticket_id is not null;
    return null;
end $$;
create trigger moved_messages_are_searched after update on messages
    referencing old table as before new table as after for each statement execute function queue_moved_messages();

create function queue_addresses() returns trigger language plpgsql as $$
begin
    insert into search_queue (customer_id) select distinct customer_id from changed;
    return null;
end $$;
create trigger addresses_are_searched after insert on customer_emails
    referencing new table as changed for each statement execute function queue_addresses();
create trigger lost_addresses_are_not_searched after delete on customer_emails
    referencing old table as changed for each statement execute function queue_addresses();
