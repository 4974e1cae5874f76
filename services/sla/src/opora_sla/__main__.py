"""`python -m opora_sla ROLE…`."""

from opora_chassis.service import main
from opora_sla.app import SERVICE

if __name__ == "__main__":
    main(SERVICE)
