-- What 0023 replaced.

drop index tickets_open;
drop index tickets_of_assignee;
drop index tickets_of_group;
