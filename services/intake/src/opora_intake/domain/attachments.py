"""What files a ticket takes, and how one is handed out. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import quote

from opora_intake.domain.errors import RuleBroken
from opora_intake.mail.names import safe_name, sniffed_type

MEBIBYTE = 1024 * 1024
MOST_FILE_BYTES = 50 * MEBIBYTE
MOST_TICKET_BYTES = 500 * MEBIBYTE
MOST_TICKET_FILES = 500
UNKNOWN_TYPE = "application/octet-stream"
_RUNNING_TYPES = ("text/html", "image/svg+xml", "application/xml", "text/x-shellscript")
_SAFE_IN_NAMES = "!#$&+-.^_`|~"
"""What RFC 8187 leaves as it is, beside letters and digits."""


class DiagnosticKind(StrEnum):
    """What diagnostic data is."""

    LOG = "log"
    METRICS = "metrics"
    ENVIRONMENT = "environment"
    TRACE = "trace"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class FileRules:
    """How much a file and a ticket may have."""

    most_file_bytes: int = MOST_FILE_BYTES
    most_ticket_bytes: int = MOST_TICKET_BYTES
    most_ticket_files: int = MOST_TICKET_FILES


@dataclass
class TicketFull(RuleBroken):
    """The ticket has as much as a ticket may have."""

    label: str
    rules: FileRules

    def __str__(self) -> str:
        return (
            f"{self.label} would have more than {self.rules.most_ticket_files} files or"
            f" {self.rules.most_ticket_bytes} bytes of them"
        )


def has_room(rules: FileRules, *, files: int, used_bytes: int, size_bytes: int) -> bool:
    """Whether a ticket with so many files and bytes takes one more of this size."""
    return files < rules.most_ticket_files and used_bytes + size_bytes <= rules.most_ticket_bytes


def file_name(given: str) -> str:
    """The name as it is shown and stored: data, and never part of a path."""
    return safe_name(given, "attachment")


def type_of(head: bytes) -> str:
    """The type that the first bytes speak of; a claim is not believed."""
    return sniffed_type(head) or UNKNOWN_TYPE


def download_headers(name: str, content_type: str) -> Mapping[str, str]:
    """How a file is handed out so that no browser runs, shows or guesses it (RFC 6266, RFC 8187)."""
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\%' else "_" for c in name)
    return {
        "Content-Type": UNKNOWN_TYPE if content_type in _RUNNING_TYPES else content_type,
        "Content-Disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe=_SAFE_IN_NAMES)}",
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "private, no-store",
    }
