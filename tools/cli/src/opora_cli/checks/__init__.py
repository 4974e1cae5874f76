"""Checks from outside: what the topics, the databases and the mail say must agree with what was promised."""
