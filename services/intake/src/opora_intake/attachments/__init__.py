"""The bytes of tickets' files: where they lie, and who looks through them for viruses."""
