"""Fixtures that every test folder shares: a real Kafka and a real PostgreSQL."""

pytest_plugins = ["opora_embedded.testing"]
