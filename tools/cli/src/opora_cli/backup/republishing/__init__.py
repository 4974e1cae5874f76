"""The broker's log is lost, the databases are not: what they know is published again, so that nobody is forgotten."""
