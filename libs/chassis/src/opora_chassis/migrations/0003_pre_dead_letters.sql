-- A dead letter is found by what its publisher knows: the event's source and id, as far as they could be read.

alter table dead_letters add column source text, add column event_id text;
create index dead_letters_of_event on dead_letters (event_id, source) where event_id is not null;
comment on column dead_letters.event_id is 'With source, the event that the record carries; null where it could not be read, and on letters from before this column.';
