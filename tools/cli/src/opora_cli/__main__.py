"""`python -m opora_cli` is `opora`."""

from opora_cli.main import run

run()
