-- Lists of tickets are cut in an index that holds what they are filtered by; only the page's tickets are fetched.
-- tickets_open, tickets_of_assignee and tickets_of_group, which these replace, go with 0024.

create index tickets_open_listed on tickets (number desc)
    include (step, priority, assignee, "group", requester_id, organization_id, product, channel, waiting_on, opened_at)
    where step <> 'closed';
comment on index tickets_open_listed is 'The open tickets with what lists filter them by.';

create index tickets_listed_of_assignee on tickets (assignee, number desc) include (step) where assignee is not null;
create index tickets_listed_of_group on tickets ("group", number desc) include (step, assignee) where "group" is not null;
