"""How cases are worked, over HTTP: one document in versions."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import Field
from starlette.responses import Response

from opora_chassis.database import Transaction
from opora_chassis.http import Caller, Limit, Page, PlatformDependency, WriteCall, decode_cursor, page_of, shown, writes
from opora_chassis.http import requires as scope
from opora_contracts.vocabulary import Priority
from opora_intake.api import case_examples as examples
from opora_intake.api.dependencies import Rules, broken_rules_as_problems
from opora_intake.api.examples import page as page_example
from opora_intake.api.views import View
from opora_intake.domain import CaseSettings, PriorityMatrix
from opora_intake.domain.rules import priorities_in_force, rules_of_settings
from opora_intake.handlers.case_settings import change_settings
from opora_intake.store import case_settings as store
from opora_intake.store.case_settings import SettingsVersion

router = APIRouter(prefix="/v1", tags=["settings"])

MayRead = Annotated[Caller, Depends(scope("settings:read"))]
MayWrite = Annotated[WriteCall, Depends(writes("settings:write"))]


class SettingsChange(CaseSettings):
    """Parts of the settings to be replaced, each as a whole; an absent part stays."""

    expected_version: Annotated[int | None, Field(ge=0)] = None
    """Refuse unless this version is in force."""


class SettingsView(View, CaseSettings):
    """The settings as they are in force, or were."""

    version: int
    """0 before anybody changed them."""
    changed_at: datetime | None
    changed_by: str | None
    priorities: dict[str, Priority]
    """impact/urgency → priority, all nine pairs."""


@router.get("/settings", summary="Read how cases are worked")
@shown(examples.SETTINGS)
async def get_settings(platform: PlatformDependency, rules: Rules, _caller: MayRead) -> SettingsView:
    """Profiles of kinds, the matrix of priorities, the lists of categories and components."""
    return _view(await store.newest_settings(platform.database), rules.initial)


@router.patch("/settings", response_model=SettingsView, summary="Change how cases are worked")
@shown(
    examples.CHANGED_SETTINGS,
    examples.SETTINGS_CHANGES,
    conflict="`expected_version` is no longer the version in force.",
)
async def patch_settings(body: SettingsChange, call: MayWrite, rules: Rules) -> Response:
    """Replace parts of the settings. A cycle that is under way keeps its profile. All processes know in a second."""

    async def work(tx: Transaction) -> SettingsView:
        given = {name: getattr(body, name) for name in body.model_fields_set - {"expected_version"}}
        changed = await change_settings(tx, given, expected_version=body.expected_version, actor=call.caller.actor)
        tx.after_commit(rules.forget)
        return _view(changed, rules.initial)

    with broken_rules_as_problems():
        return await call.run(work)


@router.get("/settings/versions", summary="List earlier settings")
@shown(page_example(examples.CHANGED_SETTINGS))
async def list_settings(
    platform: PlatformDependency, rules: Rules, _caller: MayRead, limit: Limit = 50, cursor: str | None = None
) -> Page[SettingsView]:
    """Every version that was put in force, newest first: who changed what, and when."""
    position = decode_cursor(cursor, before=int) or {"before": None}
    versions = await store.list_settings(platform.database, limit=limit + 1, **position)
    page = page_of(versions, limit, lambda version: {"before": version.version})
    return Page(items=[_view(version, rules.initial) for version in page.items], next_cursor=page.next_cursor)


def _view(version: SettingsVersion, initial: PriorityMatrix) -> SettingsView:
    rules = rules_of_settings(version.settings, initial)
    return SettingsView(
        **{**dict(version.settings), "priorities": priorities_in_force(rules)},
        version=version.version,
        changed_at=version.changed_at,
        changed_by=version.changed_by,
    )
