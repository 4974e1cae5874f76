-- The release before is gone: addresses are written where they are read, in customer_emails.

drop trigger keep_customer_email on customers;
drop function keep_customer_email();
