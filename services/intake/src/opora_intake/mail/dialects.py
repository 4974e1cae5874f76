"""How mail servers that write no report by RFC 3464 say that a letter was not delivered."""

import re
from dataclasses import dataclass

_ADDRESS = r"[^\s<>()\"',;:]{1,64}@[^\s<>()\"',;:]{1,255}"


@dataclass(frozen=True, slots=True)
class Dialect:
    """One server's wording: known by any of `opening`; a recipient stands where `recipient` matches the begin of a
    line; what follows one of `original` is the returned letter. Phrases are in lower case.
    """

    name: str
    opening: tuple[str, ...]
    recipient: re.Pattern[str]
    original: tuple[str, ...] = ()
    delayed: tuple[str, ...] = ()


_BRACKETED = re.compile(rf"\s{{0,4}}<({_ADDRESS})>")
_INDENTED = re.compile(rf"\s{{1,8}}<?({_ADDRESS})>?:?\s*$")
_BARE = re.compile(rf"\s{{0,8}}['\"<]?({_ADDRESS})['\">]?(?:\s+(?:on\s|\(?<?mailto:).*)?\s*$", re.IGNORECASE)

DIALECTS = (
    Dialect(
        "qmail",
        opening=("this is the qmail-send program at", "this is the qmail program"),
        recipient=re.compile(rf"<({_ADDRESS})>:\s*$"),
        original=("--- below this line is a copy of the message", "--- enclosed are the original headers"),
    ),
    Dialect(
        "exim",
        opening=("this message was created automatically by mail delivery software",),
        recipient=_INDENTED,
        original=("------ this is a copy of", "the following text was generated during"),
        delayed=(
            "has not been delivered to one or more",
            "has not yet been delivered",
            "no action is required on your",
        ),
    ),
    Dialect(
        "sendmail",
        opening=(
            "the following addresses had permanent fatal errors",
            "the following addresses had transient non-fatal errors",
            "the following addresses had permanent delivery errors",
        ),
        recipient=re.compile(rf"\s{{0,2}}<?({_ADDRESS})>?\s*(?:\(.*)?$"),
        original=("----- original message follows", "----- message header follows", "----- unsent message follows"),
        delayed=("transient non-fatal errors", "this is a warning message only"),
    ),
    Dialect(
        "postfix",
        opening=(
            "this is the postfix program at host",
            "this is the postfix mail system at",
            "this is the mail system at",
        ),
        recipient=re.compile(rf"<({_ADDRESS})>(?:\s*\(expanded from.*?\))?:"),
        original=("--- undelivered message", "content-type: message/rfc822"),
        delayed=("this is a warning only", "your message could not be delivered for"),
    ),
    Dialect(
        "gmail",
        opening=(
            "your message wasn't delivered to",
            "delivery to the following recipient failed permanently",
            "delivery to the following recipients failed permanently",
            "delivery to the following recipient has been delayed",
            "there was a temporary problem delivering your message to",
            "there was a problem delivering your message to",
        ),
        recipient=re.compile(
            rf"(?:\s{{0,9}}|.{{0,60}}(?:delivered|delivering your message) to\s+)<?({_ADDRESS})>?(?:\s|[.,]|$)",
            re.IGNORECASE,
        ),
        original=("----- original message -----", "----- message header follows"),
        delayed=("has been delayed", "temporary problem", "gmail will retry", "delivery incomplete"),
    ),
    Dialect(
        "exchange",
        opening=(
            "your message did not reach some or all of the intended recipients",
            "delivery has failed to these recipients or groups",
            "delivery has failed to these recipients or distribution lists",
            "your message couldn't be delivered",
            "delivery is delayed to these recipients or groups",
        ),
        recipient=_BARE,
        original=("original message headers:", "received: from"),
        delayed=("delivery is delayed to",),
    ),
    Dialect(
        "other",
        opening=(
            "could not be delivered to",
            "undeliverable",
            "delivery failed",
            "returned to sender",
            "delivery status notification",
            "message delivery failed",
            "was not delivered to",
            "has not been delivered",
        ),
        recipient=re.compile(rf"\s{{0,8}}<?({_ADDRESS})>?:?(?:\s|$)"),
        original=("----- original message", "--- below this line", "received: from"),
        delayed=("delayed", "will be retried", "temporary"),
    ),
)
"""In the order in which they are tried, the surest wording first."""
