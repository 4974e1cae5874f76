-- Tickets that are done are closed after a silence that the settings of cases give.

create index tickets_silent on tickets (kind, last_time, id) where step in ('resolved', 'verified');
comment on index tickets_silent is 'The tickets that are done and not closed, by when something happened to them last.';
