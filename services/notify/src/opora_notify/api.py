"""Notify's HTTP interface: what became of messages, and the rules."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from opora_chassis.database import Transaction
from opora_chassis.http import (
    Caller,
    Conflict,
    Input,
    Limit,
    NotFound,
    Page,
    PlatformDependency,
    Unprocessable,
    WriteCall,
    decode_cursor,
    page_of,
    requires,
    shown,
    writes,
)
from opora_contracts.vocabulary import MessageChannel
from opora_notify import api_examples, handlers, rendering, store
from opora_notify.domain.delivery import FINISHED, State
from opora_notify.domain.rules import Rule
from opora_notify.store import RuleSet

WEBHOOK_TEMPLATE = "event"
"""What a rule for webhooks names: the event itself is sent, no template is filled."""
router = APIRouter(prefix="/v1")
MayRead = Annotated[Caller, Depends(requires("notifications:read"))]
MayWrite = Annotated[WriteCall, Depends(writes("notifications:write"))]
MayWriteRules = Annotated[WriteCall, Depends(writes("rules:write"))]


class NotificationView(BaseModel):
    """A message as the interface shows it; the recipient's address stays inside."""

    model_config = ConfigDict(from_attributes=True)

    notification_id: UUID
    ticket_id: UUID | None
    event_source: str
    event_id: str
    event_type: str
    rule: str
    template: str
    channel: MessageChannel
    recipient: str
    state: State
    attempts: int
    resends: int
    reason: str | None
    created_at: datetime
    due_at: datetime | None
    """The next attempt of a pending message; the end of the lease of one that is being sent."""
    finished_at: datetime | None


class RuleSetView(BaseModel):
    """The rules that hold. Version 0 are the packaged defaults."""

    model_config = ConfigDict(from_attributes=True)

    version: int
    rules: tuple[Rule, ...]


class RuleSetInput(Input):
    """Rules that replace all others."""

    version: int | None = Field(default=None, ge=0)
    """The version that was edited; another one holding by now is refused (409). Absent: replace whatever holds."""
    rules: tuple[Rule, ...] = Field(max_length=500)


@router.get("/notifications", summary="List messages")
@shown(api_examples.page(api_examples.NOTIFICATION))
async def list_notifications(
    _caller: MayRead,
    platform: PlatformDependency,
    ticket_id: UUID | None = None,
    status: Annotated[State | None, Query()] = None,
    limit: Limit = 50,
    cursor: str | None = None,
) -> Page[NotificationView]:
    """Messages, newest first."""
    place = decode_cursor(cursor, notification_id=UUID)
    found = await store.list_notifications(
        platform.database,
        ticket_id=ticket_id,
        state=status,
        before=None if place is None else place["notification_id"],
        limit=limit + 1,
    )
    views = [NotificationView.model_validate(one) for one in found]
    return page_of(views, limit, lambda last: {"notification_id": last.notification_id})


@router.get("/notifications/{notification_id}", summary="Read a message")
@shown(api_examples.NOTIFICATION)
async def show_notification(notification_id: UUID, _caller: MayRead, platform: PlatformDependency) -> NotificationView:
    """One message."""
    found = await store.find_notification(platform.database, notification_id)
    if found is None:
        raise NotFound("notification", notification_id)
    return NotificationView.model_validate(found)


@router.post(
    "/notifications/{notification_id}/resend", response_model=NotificationView, summary="Send a message once more"
)
@shown(
    api_examples.RESENT, conflict="The message is still on its way; `allowed` lists the states in which it can be sent."
)
async def resend(notification_id: UUID, call: MayWrite) -> Response:
    """Send a finished message once more, with all its attempts; 409 while it is still on its way."""

    async def again(tx: Transaction) -> NotificationView:
        found = (await store.lock_notifications(tx, [notification_id])).get(notification_id)
        if found is None:
            raise NotFound("notification", notification_id)
        if found.state not in FINISHED:
            raise Conflict(f"The message is {found.state}; only a finished one can be sent again.", allowed=[*FINISHED])
        after = handlers.renewed(found, tx)
        await store.save_progress(tx, [after])
        return NotificationView.model_validate(after)

    return await call.run(again)


@router.get("/rules", summary="Read the rules")
@shown(api_examples.RULES)
async def show_rules(_caller: MayRead, platform: PlatformDependency) -> RuleSetView:
    """The rules that hold now."""
    return RuleSetView.model_validate(await handlers.current_rules(platform.database))


@router.put("/rules", response_model=RuleSetView, summary="Replace the rules")
@shown(api_examples.RULES, api_examples.NEW_RULES, conflict="Another set of rules holds by now; `version` says which.")
async def put_rules(body: RuleSetInput, call: MayWriteRules) -> Response:
    """Replace the rules, from the next event on; every earlier set is kept with who saved it."""
    check_rules(body.rules)

    async def save(tx: Transaction) -> RuleSetView:
        current = await handlers.current_rules(tx)
        rule_set = RuleSet(version=current.version + 1, rules=body.rules)
        if body.version not in {None, current.version} or not await store.insert_rule_set(
            tx, rule_set, tx.now, call.caller.actor
        ):
            raise Conflict("The rules were changed meanwhile: read them again.", version=current.version)
        return RuleSetView.model_validate(rule_set)

    return await call.run(save)


def check_rules(rules: tuple[Rule, ...]) -> None:
    """Refuse a set that could not be carried out: a name used twice, or a template that does not exist."""
    names = [rule.name for rule in rules]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise Unprocessable(f"These rule names are used twice: {', '.join(twice)}.")
    for rule in rules:
        known = rendering.template_names() if MessageChannel.EMAIL in rule.channels else {WEBHOOK_TEMPLATE}
        if rule.template not in known:
            raise Unprocessable(
                f"The rule {rule.name} names the template {rule.template}, which does not exist.", known=sorted(known)
            )
