"""Faults on purpose: a platform of many processes under load, broken by a seeded plan, judged from outside."""
