"""Webhooks of other systems: how each proves itself and how its payloads are read. Pure."""
