"""`python -m opora_feedback ROLE…`."""

from opora_chassis.service import main
from opora_feedback.app import SERVICE

if __name__ == "__main__":
    main(SERVICE)
