"""One service's database is lost, the log and the others are not: from the last backup, caught up from the log."""
