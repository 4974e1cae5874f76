"""What every test folder shares: a real Kafka, a real PostgreSQL, and tests that judge behaviour, not the machine."""

from hypothesis import HealthCheck, settings

pytest_plugins = ["opora_embedded.testing"]

# How fast examples are drawn and run depends on what else the machine does.
settings.register_profile("opora", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("opora")
