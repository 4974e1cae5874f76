-- Whose letters came how often: what breaks a loop of two mail systems that answer each other.

alter table letters add column sender text;
comment on column letters.sender is 'The address in From, in lower case, of a letter that was read and handled; nobody proved it.';
create index letters_of_sender on letters (sender, handled_at) where sender is not null;
