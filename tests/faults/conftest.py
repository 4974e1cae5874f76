"""Which of these tests run where: those that take safeguards out are long, and have a command of their own."""

import os

SABOTAGE = os.environ.get("OPORA_SABOTAGE_TESTS") == "1"
collect_ignore_glob = [] if SABOTAGE else ["test_sabotage.py"]


def pytest_report_header() -> str:
    """Say what is left out, so that nothing is skipped silently."""
    return f"sabotage tests: {'run' if SABOTAGE else 'not run here; make test-sabotage runs them'}"
