-- A customer who was merged into another one is reached where that one is.

alter table customers add column merged_into uuid;
comment on column customers.merged_into is 'Who this is by now; follow until it is null.';
