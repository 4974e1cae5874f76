"""`opora doctor`: what is wrong with a running platform, and the command that helps."""

from opora_cli.doctor.commands import doctor

__all__ = ["doctor"]
