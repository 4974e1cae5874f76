"""Every SQL statement of sla: `cases` (tickets and their clocks), `agreements`, `reports` (what the API reads)."""
