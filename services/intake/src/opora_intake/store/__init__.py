"""Every SQL statement of intake. Functions take a transaction (or a database, for reads) and return domain types."""
