"""Webhooks: kept first, acknowledged then, read later; and what is done about each once it was read."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from uuid import UUID

from opora_chassis.database import Transaction
from opora_chassis.identifiers import new_id
from opora_intake.domain import RuleBroken, Ticket
from opora_intake.domain.hook_sources import HookKind, HookSource, Proof
from opora_intake.domain.hooks import (
    QUARANTINE_KEY,
    Answered,
    Case,
    HookOutcome,
    HookReading,
    Ignored,
    Signal,
    Unread,
    answer,
    first_of,
    quarantined,
)
from opora_intake.handlers.case_settings import RulesInForce
from opora_intake.handlers.customers import Asked
from opora_intake.handlers.errors import Unknown
from opora_intake.handlers.tickets import command_ticket, create_tickets
from opora_intake.store import hooks as store
from opora_intake.store import tickets as ticket_store
from opora_intake.store.hooks import KeptDelivery

_SELF = "system:hooks"
_KEPT_HEADERS = ("content-type", "user-agent", "x-github-event", "sentry-hook-resource", "sentry-hook-timestamp")
_LONGEST_HEADER = 200
_LONGEST_KEY = 200


async def take_in(tx: Transaction, source: HookSource, raw: bytes, headers: Mapping[str, str]) -> tuple[UUID, bool]:
    """Keep a delivery as it came; its id, or that of the one which it repeats, and whether it is new.

    Nothing of it is interpreted. Once the transaction has committed the delivery may be acknowledged.
    """
    delivery_key = delivery_key_of(source, raw, headers)
    told = {name: headers[name][:_LONGEST_HEADER] for name in _KEPT_HEADERS if name in headers}
    kept = await store.keep_delivery(tx, new_id(), source.name, raw, headers=told, delivery_key=delivery_key)
    if kept is not None:
        return kept, True
    known = await store.delivery_by_key(tx, source.name, delivery_key or "")
    assert known is not None  # noqa: S101  deliveries are never deleted while they may come again
    return known, False


def delivery_key_of(source: HookSource, raw: bytes, headers: Mapping[str, str]) -> str | None:
    """What makes two deliveries one: the sender's own id, or for PagerDuty, whose bodies hold one, the body.

    None for senders that say the same again and may mean it: the case tells whether that is news.
    """
    named = None
    if source.kind is HookKind.GITHUB:
        named = headers.get("x-github-delivery")
    elif source.kind is HookKind.SENTRY:
        named = headers.get("request-id")
    elif source.proven_by is Proof.STANDARD_WEBHOOKS:
        named = headers.get("webhook-id")
    elif source.kind is HookKind.PAGERDUTY:
        named = hashlib.sha256(raw).hexdigest()
    return named if named and len(named) <= _LONGEST_KEY else None


async def handle_delivery(
    tx: Transaction, claimed: KeptDelivery, reading: HookReading, source: HookSource | None, rules: RulesInForce
) -> HookOutcome | None:
    """Do what is to be done about a delivery, once; None when another worker has it or had it.

    Tickets, facts, notes, cases and the delivery's outcome become durable together. A source that is gone leaves its
    deliveries to the quarantine.
    """
    delivery = await store.lock_delivery(tx, claimed.id)
    if delivery is None or delivery.state != "received" or delivery.attempts != claimed.attempts:
        return None
    if source is None:
        reading = Unread(f"There is no source {delivery.hook} any more: create it again and retry the delivery.")
    reason: str | None
    ticket_id: UUID | None
    match reading:
        case Ignored():
            outcome, reason, ticket_id = HookOutcome.IGNORED, reading.reason, None
        case Unread():
            outcome, reason = HookOutcome.UNREADABLE, reading.reason
            ticket_id = await _quarantine(tx, delivery, reading.reason, rules)
        case _:
            assert source is not None  # noqa: S101  without one it is unread
            outcome, reason, ticket_id = await _follow_all(tx, reading, source, rules)
    state = "quarantined" if outcome is HookOutcome.UNREADABLE else "handled"
    await store.save_outcome(tx, delivery.id, state=state, outcome=outcome, reason=reason, ticket_id=ticket_id)
    return outcome


async def retry_delivery(tx: Transaction, delivery_id: UUID) -> KeptDelivery | None:
    """Have a quarantined delivery handled again; None when it is in no quarantine. Raises Unknown."""
    delivery = await store.lock_delivery(tx, delivery_id)
    if delivery is None:
        raise Unknown("hook delivery", delivery_id)
    if delivery.state != "quarantined":
        return None
    await store.begin_anew(tx, delivery_id)
    return await store.find_delivery(tx, delivery_id)


async def _follow_all(
    tx: Transaction, signals: Sequence[Signal], source: HookSource, rules: RulesInForce
) -> tuple[HookOutcome, str | None, UUID | None]:
    # Cases in the order of their keys, so that two deliveries never wait for each other in a circle; what is said of
    # one case stays in its order.
    followed: list[tuple[HookOutcome, str | None, UUID | None]] = [
        await _follow(tx, signal, source, rules) for signal in sorted(signals, key=lambda signal: signal.key)
    ]
    outcome = first_of([each for each, _, _ in followed])
    reason, ticket_id = next((reason, ticket_id) for each, reason, ticket_id in followed if each is outcome)
    if len(followed) > 1:
        counts = {each: sum(of is each for of, _, _ in followed) for each in HookOutcome}
        reason = ", ".join(f"{count} {each}" for each, count in counts.items() if count)
    return outcome, reason, ticket_id


async def _follow(
    tx: Transaction, signal: Signal, source: HookSource, rules: RulesInForce
) -> tuple[HookOutcome, str | None, UUID | None]:
    case = await store.lock_case(tx, source.name, signal.key)
    ticket = await _ticket_of(tx, case)
    if ticket is not None and case.ticket_id is None:
        case = replace(case, ticket_id=ticket.id, tickets=1)
    answered = answer(case, ticket, signal, source)
    ticket_id = await _carry_out(tx, answered, rules)
    return answered.outcome, answered.reason, ticket_id


async def _quarantine(tx: Transaction, delivery: KeptDelivery, reason: str, rules: RulesInForce) -> UUID | None:
    case = await store.lock_case(tx, delivery.hook, QUARANTINE_KEY)
    note = (
        f"{reason}\n\nThe raw delivery: GET /v1/hook-deliveries/{delivery.id}/raw."
        f" Once the cause is mended: POST /v1/hook-deliveries/{delivery.id}/retry."
    )
    answered = quarantined(
        case,
        None if case.ticket_id is None else await _ticket_of(tx, case),
        delivery.hook,
        note,
        f"Webhooks of {delivery.hook} that cannot be read",
    )
    return await _carry_out(tx, answered, rules)


async def _ticket_of(tx: Transaction, case: Case) -> Ticket | None:
    """The case's present ticket; for a new case one that another channel opened under the same pair."""
    if case.ticket_id is not None:
        return await ticket_store.lock_ticket(tx, case.ticket_id)
    return next(iter(await ticket_store.lock_named(tx, externals=[(case.hook, case.key)])), None)


async def _carry_out(tx: Transaction, answered: Answered, rules: RulesInForce) -> UUID | None:
    """Through the commands that every channel uses. Raises RuleBroken, which fails the delivery as a whole."""
    ticket_id = answered.case.ticket_id
    if answered.opening is not None:
        (ticket,) = await create_tickets(tx, [Asked(answered.opening, _SELF)], rules=rules)
        if isinstance(ticket, RuleBroken):
            raise ticket
        ticket_id = ticket.id
    for command in answered.commands:
        if ticket_id is not None:
            await command_ticket(tx, ticket_id, command, _SELF, rules)
    await store.save_case(tx, replace(answered.case, ticket_id=ticket_id))
    return ticket_id
