"""Closed lists of words that several event families share."""

from enum import StrEnum


class Channel(StrEnum):
    """How a request or a reply reached support."""

    EMAIL = "email"
    WEB = "web"
    CHAT = "chat"
    PHONE = "phone"
    API = "api"
    EVENT = "event"
    OTHER = "other"


class Kind(StrEnum):
    """What sort of request a ticket is (ITIL)."""

    INCIDENT = "incident"
    SERVICE_REQUEST = "service_request"
    QUESTION = "question"
    PROBLEM = "problem"
    COMPLAINT = "complaint"
    OTHER = "other"


class Level(StrEnum):
    """Impact and urgency (ITIL)."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class Priority(StrEnum):
    """P1 is worked first."""

    P1 = "P1"
    P2 = "P2"
    P3 = "P3"
    P4 = "P4"
    P5 = "P5"


class Step(StrEnum):
    """Where a ticket stands in the support process."""

    RECEIVED = "received"
    ASSESSED = "assessed"
    DIAGNOSED = "diagnosed"
    PLANNED = "planned"
    RESOLVED = "resolved"
    VERIFIED = "verified"
    CLOSED = "closed"


class Profile(StrEnum):
    """How strictly the steps are followed."""

    STRICT = "strict"
    """No step may be skipped, and each needs its record."""
    LIGHT = "light"
    """Steps on the way to the resolution may be skipped."""


class Relation(StrEnum):
    """How a ticket and another one belong together, as the ticket sees it."""

    DUPLICATE_OF = "duplicate_of"
    DUPLICATED_BY = "duplicated_by"
    RELATED_TO = "related_to"
    CAUSED_BY = "caused_by"
    CAUSE_OF = "cause_of"
    PARENT_OF = "parent_of"
    CHILD_OF = "child_of"
    SPLIT_FROM = "split_from"
    SPLIT_INTO = "split_into"
    CONTINUES = "continues"
    CONTINUED_BY = "continued_by"


class WaitingOn(StrEnum):
    """Whom a ticket on hold waits for."""

    CUSTOMER = "customer"
    THIRD_PARTY = "third_party"
    CHANGE = "change"


class AuthorKind(StrEnum):
    """Which side wrote a message."""

    CUSTOMER = "customer"
    AGENT = "agent"
    SYSTEM = "system"


class ResolutionCode(StrEnum):
    """How a ticket came to its end."""

    SOLVED = "solved"
    WORKAROUND = "workaround"
    NO_FAULT_FOUND = "no_fault_found"
    DUPLICATE = "duplicate"
    CANCELLED = "cancelled"
    OTHER = "other"


class Metric(StrEnum):
    """What an agreement measures."""

    FIRST_RESPONSE = "first_response"
    NEXT_RESPONSE = "next_response"
    RESOLUTION = "resolution"


class Outcome(StrEnum):
    """How a clock stands or ended."""

    OPEN = "open"
    MET = "met"
    BREACHED = "breached"
    CANCELLED = "cancelled"


class Evidence(StrEnum):
    """Whether a breach was declared with every fact before the due date seen."""

    COMPLETE = "complete"
    INCOMPLETE = "incomplete"


class MessageChannel(StrEnum):
    """How a notification leaves."""

    EMAIL = "email"
    WEBHOOK = "webhook"
