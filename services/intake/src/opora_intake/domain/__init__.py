"""The rules of support work: pure, without I/O, without a wall clock."""

from opora_intake.domain.commands import ACTIONS, Command, Open
from opora_intake.domain.customer import Consent, Customer, Organization
from opora_intake.domain.errors import (
    BadField,
    BadValue,
    FieldsMissing,
    ImpossibleTime,
    LinkRefused,
    NothingGiven,
    RecordMissing,
    RuleBroken,
    TooMany,
    TransitionRefused,
    UnlistedValue,
    VersionConflict,
)
from opora_intake.domain.lifecycle import decide, join_live, open_ticket
from opora_intake.domain.priority import DEFAULT_MATRIX, PriorityMatrix, matrix_with
from opora_intake.domain.rules import DEFAULT_RULES, CaseRules, CaseSettings
from opora_intake.domain.ticket import Decision, Message, RecordedFact, StepRecord, Ticket, Visibility
from opora_intake.domain.transitions import allowed_actions

__all__ = [
    "ACTIONS",
    "DEFAULT_MATRIX",
    "DEFAULT_RULES",
    "BadField",
    "BadValue",
    "CaseRules",
    "CaseSettings",
    "Command",
    "Consent",
    "Customer",
    "Decision",
    "FieldsMissing",
    "ImpossibleTime",
    "LinkRefused",
    "Message",
    "NothingGiven",
    "Open",
    "Organization",
    "PriorityMatrix",
    "RecordMissing",
    "RecordedFact",
    "RuleBroken",
    "StepRecord",
    "Ticket",
    "TooMany",
    "TransitionRefused",
    "UnlistedValue",
    "VersionConflict",
    "Visibility",
    "allowed_actions",
    "decide",
    "join_live",
    "matrix_with",
    "open_ticket",
]
