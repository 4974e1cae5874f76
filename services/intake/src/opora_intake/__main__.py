"""`python -m opora_intake serve|consume|relay|timers|migrate|redrive|all`."""

from opora_chassis.service import main
from opora_intake.app import SERVICE

main(SERVICE)
