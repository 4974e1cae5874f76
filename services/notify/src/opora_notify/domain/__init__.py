"""Notify's rules: who is told what, and what becomes of a message. Pure: no I/O, no wall clock."""
