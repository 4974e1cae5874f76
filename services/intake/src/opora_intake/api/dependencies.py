"""What intake's routes are given, and how a broken rule is answered."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, cast
from uuid import UUID
from weakref import WeakKeyDictionary

from fastapi import Depends, Path

from opora_chassis.database import Database
from opora_chassis.http import (
    Caller,
    Conflict,
    NotFound,
    PlatformDependency,
    Problem,
    Unprocessable,
    WriteCall,
    requires,
    writes,
)
from opora_chassis.platform import Platform
from opora_intake.attachments.clamd import Clamd
from opora_intake.attachments.storage import Directory
from opora_intake.domain import (
    BadValue,
    ImpossibleTime,
    NothingGiven,
    RuleBroken,
    TransitionRefused,
    VersionConflict,
    matrix_with,
)
from opora_intake.domain.attachments import FileRules
from opora_intake.domain.calls import ImpossibleCall
from opora_intake.domain.customer import ContractEndsEarly
from opora_intake.domain.history import OrdinalGap
from opora_intake.domain.macros import OperationRefused
from opora_intake.domain.merging import AlreadyMerged, SameCustomer
from opora_intake.domain.ticket import NUMBER
from opora_intake.handlers.attachments import Files
from opora_intake.handlers.case_settings import RulesInForce
from opora_intake.handlers.errors import FutureStatement, Unknown, UnknownReference
from opora_intake.settings import IntakeSettings

ReadTickets = Annotated[Caller, Depends(requires("tickets:read"))]
ReadMessages = Annotated[Caller, Depends(requires("messages:read"))]
ReadCustomers = Annotated[Caller, Depends(requires("customers:read"))]
WriteHistory = Annotated[Caller, Depends(requires("history:write"))]
TicketWrite = Annotated[WriteCall, Depends(writes("tickets:write"))]
CustomerWrite = Annotated[WriteCall, Depends(writes("customers:write"))]
HistoryWrite = Annotated[WriteCall, Depends(writes("history:write"))]


_in_force: WeakKeyDictionary[Database, RulesInForce] = WeakKeyDictionary()


def rules_of(platform: Platform) -> RulesInForce:
    """The rules of cases in this process: one and the same for all who ask, so that a change is known at once."""
    if platform.database not in _in_force:
        matrix = matrix_with(cast("IntakeSettings", platform.settings).priority_matrix)
        _in_force[platform.database] = RulesInForce(matrix)
    return _in_force[platform.database]


def files_of(platform: Platform) -> Files | None:
    """Where files are kept as the settings have it; None where no directory is set."""
    settings = cast("IntakeSettings", platform.settings)
    if settings.intake_files_directory is None:
        return None
    return Files(
        Directory(settings.intake_files_directory),
        None if settings.intake_clamd is None else Clamd(settings.intake_clamd),
        FileRules(
            settings.intake_file_most_bytes, settings.intake_ticket_files_most_bytes, settings.intake_ticket_most_files
        ),
    )


def _rules(platform: PlatformDependency) -> RulesInForce:
    return rules_of(platform)


Rules = Annotated[RulesInForce, Depends(_rules)]


def _reference(
    ticket: Annotated[str, Path(description="The ticket's id, or its number such as OP-1042.")],
) -> UUID | int:
    number = NUMBER.fullmatch(ticket)
    if number is not None:
        return int(number[1])
    try:
        return UUID(ticket)
    except ValueError:
        raise NotFound("ticket", ticket) from None


TicketReference = Annotated[UUID | int, Depends(_reference)]


_CANNOT_BE_TRUE = (
    ImpossibleTime,
    ImpossibleCall,
    BadValue,
    NothingGiven,
    UnknownReference,
    SameCustomer,
    FutureStatement,
    ContractEndsEarly,
)


@contextmanager
def broken_rules_as_problems() -> Iterator[None]:
    """Answer what the domain refuses: 404 for what does not exist, 422 for what cannot be true, 409 for the rest."""
    try:
        yield
    except RuleBroken as refusal:
        raise problem_of_refusal(refusal) from refusal


def problem_of_refusal(refusal: RuleBroken) -> Problem:
    """How a broken rule is answered; that of a macro's operation as if it had come alone, and with its place."""
    if not isinstance(refusal, OperationRefused):
        return _problem_of(refusal)
    problem = _problem_of(refusal.refusal)
    problem.detail = f"{refusal}."
    problem.extensions |= {"operation": refusal.position, "action": refusal.action}
    return problem


def _problem_of(refusal: RuleBroken) -> Problem:
    detail = f"{refusal}."
    match refusal:
        case Unknown(what, identifier):
            return NotFound(what, identifier)
        case TransitionRefused(step, attempted, allowed):
            return Conflict(detail, step=step.value, attempted=attempted, allowed=list(allowed))
        case VersionConflict(expected, actual):
            return Conflict(detail, expected_version=expected, version=actual)
        case OrdinalGap(source_id, expected, given):
            return Conflict(detail, source_id=source_id, expected_ordinal=expected, given_ordinal=given)
        case _ if isinstance(refusal, _CANNOT_BE_TRUE):
            return Unprocessable(detail)
        case _:
            merged = {"merged_into": str(refusal.merged_into)} if isinstance(refusal, AlreadyMerged) else {}
            return Conflict(detail, **merged)
