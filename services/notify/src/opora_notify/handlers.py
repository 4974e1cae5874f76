"""What notify does with facts: keep the read model and the address book, and put messages into the ledger."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from importlib.resources import files
from typing import Any
from uuid import UUID

from prometheus_client import Counter
from pydantic import TypeAdapter

from opora_chassis.database import Transaction
from opora_contracts import Event, NewEvent
from opora_contracts.customers import CustomerDeliverable, CustomerFact, CustomerMerged, CustomerUndeliverable
from opora_contracts.notifications import NotificationFact
from opora_contracts.tickets import TicketFact
from opora_notify import store
from opora_notify.domain import delivery, rules, tickets
from opora_notify.domain.delivery import FINISHED, Notification, Settlement, State
from opora_notify.domain.envelopes import structured
from opora_notify.domain.rules import Draft, Rule
from opora_notify.domain.tickets import Ticket
from opora_notify.store import RuleSet, undeliverable
from opora_notify.store.reading import Reader
from opora_notify.store.undeliverable import UndeliverableAddress

PLANNED = Counter("opora_notifications_planned_total", "Messages put into the ledger", ["channel", "rule"])


@dataclass(frozen=True, slots=True)
class Planning:
    """What the planning of messages needs to know."""

    stale_after: timedelta
    new_id: Callable[[], UUID]
    wake: Callable[[], None]
    """Tells the workers of this process that messages are due."""


@cache
def packaged_rules() -> RuleSet:
    """The defaults: they hold until somebody saves rules."""
    text = files("opora_notify").joinpath("default_rules.json").read_text("utf-8")
    return RuleSet(version=0, rules=TypeAdapter(tuple[Rule, ...]).validate_python(json.loads(text)))


async def current_rules(reader: Reader) -> RuleSet:
    """The rules that hold now."""
    return await store.newest_rule_set(reader) or packaged_rules()


async def follow_customers(events: Sequence[Event[Any]], tx: Transaction, *, planning: Planning) -> None:
    """Keep the address book equal to the newest fact of each customer, history included.

    Whoever was merged is reached where the other one is, until a later fact says that the two are apart again. Letters
    that waited for an address are tried at once. What the facts say of undeliverable addresses holds in their order.
    """
    await _follow_addresses(
        tx, [event for event in events if not isinstance(event.data, CustomerFact | CustomerMerged)]
    )
    events = [event for event in events if isinstance(event.data, CustomerFact | CustomerMerged)]
    states = {event.data.customer_id: event.data for event in events if isinstance(event.data, CustomerFact)}
    newest = {event.data.customer_id: event.data for event in events}
    await store.save_customers(tx, list(states.values()))
    await store.save_merges(tx, [fact for fact in newest.values() if isinstance(fact, CustomerMerged)])
    if await store.hasten_messages(tx, [f"customer:{customer_id}" for customer_id in newest]):
        tx.after_commit(planning.wake)


async def _follow_addresses(tx: Transaction, events: Sequence[Event[Any]]) -> None:
    """Keep who is not written to; the last word on an address holds, whichever customer had it then."""
    last = {event.data.address_digest: event for event in events}
    deliverable = [digest for digest, event in last.items() if isinstance(event.data, CustomerDeliverable)]
    if deliverable:
        await undeliverable.unmark_addresses(tx, deliverable)
    marks = [
        UndeliverableAddress(
            digest, f"customer:{event.data.customer_id}", event.data.status, source="report", since=event.time
        )
        for digest, event in last.items()
        if isinstance(event.data, CustomerUndeliverable)
    ]
    if marks:
        await undeliverable.mark_addresses(tx, marks)


async def follow_tickets(events: Sequence[Event[Any]], tx: Transaction, *, planning: Planning) -> None:
    """Keep each ticket's name and people, history included, and plan the messages of live facts.

    A message sees the ticket as it was right after its own fact, not after the whole batch.
    """
    known = await store.lock_tickets(tx, {event.data.ticket_id for event in events})
    changed: dict[UUID, Ticket] = {}
    watched: set[UUID] = set()
    seen: list[tuple[Event[Any], Ticket | None]] = []
    for event in events:
        fact: TicketFact = event.data
        before = known.get(fact.ticket_id)
        after = tickets.apply(before, fact)
        if after is not None and after != before:
            known[fact.ticket_id] = changed[fact.ticket_id] = after
            if after.watchers != (before.watchers if before else ()):
                watched.add(after.ticket_id)
        seen.append((event, after))
    await store.save_tickets(tx, list(changed.values()))
    await store.save_watchers(tx, [changed[ticket_id] for ticket_id in watched])
    await _plan(tx, seen, planning)


async def follow_other_facts(events: Sequence[Event[Any]], tx: Transaction, *, planning: Planning) -> None:
    """Plan the messages of live facts of sla and feedback, with the tickets as far as they are known here."""
    known = await store.find_tickets(tx, {event.data.ticket_id for event in events})
    await _plan(tx, [(event, known.get(event.data.ticket_id)) for event in events], planning)


def ledger_entry(event: Event[Any], draft: Draft, tx: Transaction, notification_id: UUID) -> Notification:
    """The ledger's entry of a message that is due now."""
    return Notification(
        notification_id=notification_id,
        event_source=event.source,
        event_id=event.id,
        event_type=event.type,
        event=structured(event),
        ticket_id=event.data.ticket_id,
        rule=draft.rule,
        template=draft.template,
        channel=draft.channel,
        recipient=draft.recipient,
        address=draft.address,
        created_at=tx.now,
        due_at=tx.now,
    )


def settled(
    notification: Notification, settlement: Settlement, tx: Transaction, retry_after: timedelta | None = None
) -> Notification:
    """The message after an attempt; `retry_after` is on the platform's clock and goes with a pending settlement."""
    is_over = settlement.state in FINISHED
    return replace(
        notification,
        state=settlement.state,
        reason=settlement.reason,
        told=notification.told + (settlement.fact is not None),
        due_at=None if is_over else tx.now + (retry_after or timedelta()),
        finished_at=tx.now if is_over else None,
    )


def renewed(notification: Notification, tx: Transaction) -> Notification:
    """A finished message as if it were new: due at once, with all its attempts, under a new Message-ID."""
    return replace(
        notification,
        state=State.PENDING,
        attempts=0,
        resends=notification.resends + 1,
        reason=None,
        due_at=tx.now,
        finished_at=None,
    )


def told(notification: Notification, fact: NotificationFact, tx: Transaction, cause: Event[Any]) -> NewEvent:
    """The published form of the fact that a message came to its end. `notification` is as it is afterwards."""
    return NewEvent(
        data=fact,
        subject=str(notification.notification_id),
        sequence=notification.told,
        time=max(tx.now, notification.created_at),
        actor=delivery.ACTOR,
        cause=cause,
    )


async def _plan(tx: Transaction, seen: Sequence[tuple[Event[Any], Ticket | None]], planning: Planning) -> None:
    live = [(event, ticket) for event, ticket in seen if event.import_id is None]
    if not live:
        return
    rule_set = await current_rules(tx)
    directory = await store.read_directory(tx)
    planned: dict[UUID, tuple[Notification, NewEvent | None]] = {}
    for event, ticket in live:
        drafts = rules.plan(event, rule_set.rules, ticket, directory, now=tx.now, stale_after=planning.stale_after)
        for draft in drafts:
            notification = ledger_entry(event, draft, tx, planning.new_id())
            news = None
            if draft.withheld is not None:
                settlement = delivery.suppress(notification, draft.withheld)
                notification = settled(notification, settlement, tx)
                news = None if settlement.fact is None else told(notification, settlement.fact, tx, event)
            planned[notification.notification_id] = (notification, news)
    if not planned:
        return
    added = await store.insert_notifications(tx, [notification for notification, _ in planned.values()])
    for notification in added:
        PLANNED.labels(notification.channel, notification.rule).inc()
        news = planned[notification.notification_id][1]
        if news is not None:
            tx.emit(news)
    if any(notification.state is State.PENDING for notification in added):
        tx.after_commit(planning.wake)
