-- A word is looked up among the newest tickets first: the indexes of words have a key for each 8,192 numbers.
-- ticket_search_by_title and ticket_search_by_all, which these replace, go with 0026.

create index ticket_search_of_title on ticket_search using gin (title_words, (array[(number / 8192)::integer]));
create index ticket_search_of_all on ticket_search using gin (all_words, (array[(number / 8192)::integer]));
