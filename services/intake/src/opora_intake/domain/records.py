"""What each step leaves behind: who did what, why, on what evidence. The texts stay with intake."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from opora_contracts.vocabulary import Profile, ResolutionCode, Step
from opora_intake.domain import commands
from opora_intake.domain.commands import Command
from opora_intake.domain.errors import RecordMissing
from opora_intake.domain.ticket import StepRecord
from opora_intake.domain.transitions import WITHOUT_RESOLVING

_STEPS: Mapping[str, Step] = {
    "assess": Step.ASSESSED,
    "diagnose": Step.DIAGNOSED,
    "plan": Step.PLANNED,
    "resolve": Step.RESOLVED,
    "verify": Step.VERIFIED,
    "close": Step.CLOSED,
}
RECORDED: Mapping[str, tuple[str, ...]] = {
    "assess": ("note", "impact", "urgency", "priority", "category"),
    "diagnose": ("cause", "evidence"),
    "plan": ("steps", "owner", "planned_for"),
    "resolve": ("resolution", "resolution_code"),
    "verify": ("seen", "verified_by"),
    "close": ("note", "resolution_code"),
}
"""The fields of each step's command that its record keeps."""
NEEDED: Mapping[str, tuple[str, ...]] = {
    "assess": ("note",),
    "diagnose": ("cause", "evidence"),
    "plan": ("steps", "owner"),
    "resolve": ("resolution",),
    "verify": ("seen",),
    "close": ("note",),
}
"""The fields that must be filled under the profile strict."""


def check_record(command: Command, profile: Profile, code: ResolutionCode | None) -> None:
    """Raises RecordMissing when the profile needs more of the step's record. `code` is that of a closing.

    What is closed as cancelled or duplicate was not worked, so nothing is asked.
    """
    if profile is not Profile.STRICT:
        return
    if isinstance(command, commands.Close) and code in WITHOUT_RESOLVING:
        return
    missing = tuple(name for name in NEEDED.get(command.action, ()) if not _is_filled(getattr(command, name)))
    if missing:
        raise RecordMissing(command.action, missing)


def _is_filled(value: Any) -> bool:
    return bool(value.strip()) if isinstance(value, str) else bool(value)


def record_of(
    command: Command, *, ticket_id: UUID, cycle: int, sequence: int, time: datetime, actor: str | None
) -> StepRecord | None:
    """What the step that the command takes leaves behind; None for a command that takes none."""
    step = _STEPS.get(command.action)
    if step is None:
        return None
    content = command.model_dump(mode="json", include=set(RECORDED[command.action]), exclude_none=True)
    return StepRecord(
        ticket_id=ticket_id,
        cycle=cycle,
        step=step,
        sequence=sequence,
        time=time,
        actor=actor,
        content={name: value for name, value in content.items() if value not in ([], ())},
    )
