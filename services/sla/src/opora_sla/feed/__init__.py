"""A calendar's iCalendar feed (RFC 5545): fetched within limits, read in a process that can be ended, and taken in.

A feed that is too big, does not end, has vanished or cannot be read changes nothing but the calendar's `problem`.
"""
