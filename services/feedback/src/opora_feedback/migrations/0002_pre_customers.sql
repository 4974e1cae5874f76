-- What feedback knows of customers: who was merged into whom, so that one person is asked once, and who wants no survey.
create table customers (
    customer_id uuid    primary key,
    merged_into uuid,
    declined    boolean not null default false
);
comment on column customers.merged_into is 'Who this is by now; follow until it is null.';
comment on column customers.declined is 'The customer withdrew or refused the consent to surveys.';
