"""The rules of support work: pure, without I/O, without a wall clock."""

from opora_intake.domain.commands import ACTIONS, Command, Open
from opora_intake.domain.customer import Consent, Customer, Organization
from opora_intake.domain.errors import (
    ImpossibleTime,
    NothingGiven,
    RuleBroken,
    TransitionRefused,
    VersionConflict,
)
from opora_intake.domain.lifecycle import allowed_actions, decide, join_live, open_ticket
from opora_intake.domain.priority import DEFAULT_MATRIX, PriorityMatrix, matrix_with
from opora_intake.domain.ticket import Decision, Message, RecordedFact, Ticket, Visibility

__all__ = [
    "ACTIONS",
    "DEFAULT_MATRIX",
    "Command",
    "Consent",
    "Customer",
    "Decision",
    "ImpossibleTime",
    "Message",
    "NothingGiven",
    "Open",
    "Organization",
    "PriorityMatrix",
    "RecordedFact",
    "RuleBroken",
    "Ticket",
    "TransitionRefused",
    "VersionConflict",
    "Visibility",
    "allowed_actions",
    "decide",
    "join_live",
    "matrix_with",
    "open_ticket",
]
