"""What services say to each other about mail addresses without naming them. intake tells, notify recognises."""

import hashlib
import re

_SENDERS_FAULT = frozenset({7, 8})
"""X.1.7 and X.1.8 are about the sender's address."""


def address_digest(address: str) -> str:
    """What stands for an address in events: 64 hexadecimal digits, the same whatever the address's letter case.

    Whoever knows an address can tell whether it is the one, so a digest is personal data as the address is.
    """
    return hashlib.sha256(address.strip().lower().encode()).hexdigest()


def is_address_at_fault(status: str) -> bool:
    """Whether a status (RFC 3463) says that letters to an address will never arrive, whatever is in them.

    It does for addresses that do not exist (X.1), mailboxes that are closed (X.2.0, X.2.1), domains without a server
    (X.4.4) and failures without a reason (X.0), all of class 5. A full mailbox, a letter that is too long and a policy
    that refuses what was written (X.2.2, X.2.3, X.3, X.5 to X.7) say nothing of the next letter.
    """
    found = re.fullmatch(r"5\.(\d{1,3})\.(\d{1,3})", status)
    if not found:
        return False
    subject, detail = int(found[1]), int(found[2])
    if subject == 1:
        return detail not in _SENDERS_FAULT
    return subject == 0 or (subject, detail) in {(2, 0), (2, 1), (4, 4)}
