-- A change of an agreement is carried out in stretches of tickets, by several workers at once.

create table agreement_change_stretches (
    change_id uuid not null references agreement_changes,
    after_id  uuid,
    until_id  uuid not null,
    primary key (change_id, until_id)
);
comment on table agreement_change_stretches is
    'Tickets above after_id up to until_id are to go over; the row goes with the transaction that takes them over.';
comment on column agreement_changes.position is 'Tickets up to this id are done, or stand in a stretch.';
