"""`python -m opora_notify ROLE…`."""

from opora_chassis.service import main
from opora_notify.app import SERVICE

if __name__ == "__main__":
    main(SERVICE)
