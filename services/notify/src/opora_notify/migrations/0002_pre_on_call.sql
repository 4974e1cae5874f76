-- Who is on call in a group: an escalation may ask for that person instead of the lead.

alter table support_groups add column on_call text;
comment on column support_groups.on_call is 'Agent id. Null: the lead is asked instead.';
