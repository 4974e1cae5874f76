-- Web forms: what is asked of a visitor who has no key, and what came in by them within the last days.

create table web_forms (
    name       text primary key,
    rules      jsonb not null,
    secret     bytea not null,
    version    integer not null,
    changed_at timestamptz not null,
    changed_by text not null
);
comment on table web_forms is 'At most 100.';
comment on column web_forms.secret is 'Signs the tokens of the form''s pages. It never leaves the database but to a process of intake.';

create table web_form_submissions (
    token         bytea primary key,
    form          text not null,
    address       text not null,
    ticket_id     uuid not null references tickets,
    ticket_number text not null,
    submitted_at  timestamptz not null
);
create index web_form_submissions_recent on web_form_submissions (submitted_at);
comment on table web_form_submissions is 'By its page''s token each submission is one ticket; counted for the limits of an hour, and dropped after days.';
