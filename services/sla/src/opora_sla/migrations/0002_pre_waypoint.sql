-- A ticket's walk through time goes on from where it stands, instead of being folded anew with each fact.

alter table cases add column waypoint text;
comment on column cases.waypoint is
    'JSON: where the ticket''s walk stands, and the judged_at, last_sequence and emitted_sequence for which that holds. Null: its facts are folded anew.';
