"""How cases are worked: changed over HTTP, and at hand for every decision without asking the database each time."""

import time
from collections.abc import Mapping
from typing import Any

from opora_chassis.database import Transaction
from opora_intake.domain import CaseRules, CaseSettings, PriorityMatrix, VersionConflict
from opora_intake.domain.rules import rules_of_settings
from opora_intake.store import case_settings as store
from opora_intake.store.case_settings import SettingsVersion
from opora_intake.store.rows import Reader

MOST_SECONDS_OLD = 1.0
"""So long a process may decide by settings that another process has replaced. Real seconds."""


class RulesInForce:
    """The rules by which one process decides, read again when they are older than `MOST_SECONDS_OLD`."""

    def __init__(self, initial: PriorityMatrix) -> None:
        self.initial = initial
        """The matrix for as long as the settings have none."""
        self._rules: CaseRules | None = None
        self._read_at = 0.0

    async def current(self, reader: Reader) -> CaseRules:
        """The rules; reads one row through `reader` at most once in `MOST_SECONDS_OLD`.

        The caller's own transaction is the reader, so that whoever holds a connection never waits for a second one.
        """
        began = time.monotonic()
        if self._rules is None or began - self._read_at > MOST_SECONDS_OLD:
            newest = await store.newest_settings(reader)
            self._rules, self._read_at = rules_of_settings(newest.settings, self.initial), began
        return self._rules

    def forget(self) -> None:
        """The next decision reads the settings anew."""
        self._rules = None


async def change_settings(
    tx: Transaction, changes: Mapping[str, Any], *, expected_version: int | None, actor: str
) -> SettingsVersion:
    """The settings with these parts replaced, as a version of their own; no new version when that changes nothing.

    Raises VersionConflict.
    """
    present = await store.lock_settings(tx)
    if expected_version not in {None, present.version}:
        raise VersionConflict(expected_version or 0, present.version, what="settings are")
    settings = CaseSettings.model_validate({**dict(present.settings), **changes})
    if settings == present.settings:
        return present
    changed = SettingsVersion(present.version + 1, tx.now, actor, settings)
    await store.add_settings(tx, changed)
    return changed
