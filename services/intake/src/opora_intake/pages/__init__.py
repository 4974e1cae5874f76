"""Pages for people who have no key."""
