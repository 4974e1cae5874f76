-- Clocks of groups and of third parties stand among the others, and say whose they are.

alter table clocks add column party text;
comment on column clocks.party is
    'Who owes what the clock measures: the group of an operational target, third_party. Null: the support side.';
