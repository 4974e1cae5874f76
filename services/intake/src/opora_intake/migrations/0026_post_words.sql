-- What 0025 replaced.

drop index ticket_search_by_title;
drop index ticket_search_by_all;
