"""Imports of history: many entries at once, through the same rules as live work, with the times that the log gives."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from opora_chassis.database import Database, Transaction
from opora_chassis.identifiers import new_id
from opora_intake.domain import (
    CaseRules,
    Command,
    Decision,
    Open,
    RuleBroken,
    Ticket,
    decide,
    join_live,
    open_ticket,
)
from opora_intake.domain.history import BadEntry, HistoryEntry, command_of, fresh_entries
from opora_intake.handlers.case_settings import RulesInForce
from opora_intake.handlers.customers import Asked, Circle, gather_circle
from opora_intake.handlers.errors import ImportClosed, Unknown
from opora_intake.handlers.record import Change, record_changes
from opora_intake.store import imports as store
from opora_intake.store import tickets as ticket_store
from opora_intake.store.imports import Import

JOIN_BATCH = 500
"""Tickets that join live time in one transaction: their facts hold the progress marks back for its length."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An entry that was not applied, and why."""

    index: int
    source_id: str
    ordinal: int
    problem: str


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of a request's entries."""

    history: Import
    applied: int
    skipped: int
    refused: tuple[Refusal, ...]


async def import_entries(
    tx: Transaction,
    import_id: UUID,
    entries: Sequence[HistoryEntry],
    *,
    watermark: datetime | None,
    actor: str,
    rules: RulesInForce,
) -> Imported:
    """Apply the entries that are new, all in this transaction, and move the import's watermark on.

    An entry that the domain refuses, and those of its case after it, are reported; other cases go on.
    Raises Unknown, ImportClosed or OrdinalGap, and then nothing was applied.
    """
    history = await store.lock_import(tx, import_id)
    if history is None:
        raise Unknown("import", import_id)
    if not history.is_open:
        raise ImportClosed(history.name)
    locked = await ticket_store.lock_named(tx, externals={(history.name, entry.source_id) for entry in entries})
    tickets = {str(ticket.external_id): ticket for ticket in locked}
    fresh = fresh_entries(
        entries, {name: ticket.import_ordinal for name, ticket in tickets.items() if ticket.import_id == import_id}
    )
    desk = await _Desk.over(tx, history, tickets, fresh, actor=actor, rules=await rules.current(tx))
    changes: list[Change] = []
    refused: list[Refusal] = []
    for index, entry in fresh:
        try:
            decision = desk.apply(index, entry)
        except RuleBroken as refusal:
            desk.stuck.add(entry.source_id)
            refused.append(Refusal(index, entry.source_id, entry.ordinal, str(refusal)))
        else:
            changes.append(Change(decision, entry.actor or actor, import_id=import_id))
    await record_changes(tx, changes)
    advanced = await store.advance_import(
        tx,
        import_id,
        tickets=sum(1 for change in changes if change.decision.facts[:1] and change.decision.facts[0].sequence == 1),
        facts=sum(len(change.decision.facts) for change in changes),
        watermark=watermark,
    )
    return Imported(advanced, len(changes), len(entries) - len(fresh), tuple(refused))


@dataclass(slots=True)
class _Desk:
    """What the entries of one request are decided with: the cases' tickets, who asks, fresh numbers."""

    history: Import
    tickets: dict[str, Ticket]
    understood: dict[int, Command | BadEntry]
    circle: Circle
    numbers: Iterator[int]
    now: datetime
    actor: str
    rules: CaseRules
    stuck: set[str]
    """Cases of which an entry was refused."""

    @classmethod
    async def over(
        cls,
        tx: Transaction,
        history: Import,
        tickets: dict[str, Ticket],
        fresh: Sequence[tuple[int, HistoryEntry]],
        *,
        actor: str,
        rules: CaseRules,
    ) -> "_Desk":
        understood = {index: _understood(entry) for index, entry in fresh}
        openings = [command for command in understood.values() if isinstance(command, Open)]
        circle = await gather_circle(tx, [Asked(opening, actor) for opening in openings])
        numbers = iter(await ticket_store.next_numbers(tx, len(openings)))
        return cls(history, tickets, understood, circle, numbers, tx.now, actor, rules, set())

    def apply(self, index: int, entry: HistoryEntry) -> Decision:
        """The entry's decision, with which its ticket goes on. Raises RuleBroken."""
        command = self.understood[index]
        if entry.source_id in self.stuck:
            raise BadEntry(f"An earlier entry of {entry.source_id} was refused")
        if isinstance(command, BadEntry):
            raise command
        if entry.at > self.now:
            raise BadEntry(f"The time {entry.at.isoformat()} lies in the future: history has happened")
        decision = self._decide(command, entry)
        ticket = replace(decision.ticket, import_ordinal=entry.ordinal)
        self.tickets[entry.source_id] = ticket
        return replace(decision, ticket=ticket)

    def _decide(self, command: Command, entry: HistoryEntry) -> Decision:
        ticket, actor = self.tickets.get(entry.source_id), entry.actor or self.actor
        if isinstance(command, Open):
            if ticket is not None:
                raise BadEntry(f"{entry.source_id} has the ticket {ticket.label} already")
            opening = command.model_copy(update={"external_source": self.history.name, "external_id": entry.source_id})
            return open_ticket(
                opening,
                entry.at,
                ticket_id=new_id(),
                number=next(self.numbers),
                message_id=new_id(),
                requester=self.circle.requester_of(opening),
                organization=self.circle.organization_of(opening),
                actor=actor,
                rules=self.rules,
                import_id=self.history.id,
            )
        if ticket is None:
            raise BadEntry(f"The first entry of {entry.source_id} must be create")
        return decide(ticket, command, entry.at, message_id=new_id(), actor=actor, rules=self.rules, history=True)


def _understood(entry: HistoryEntry) -> Command | BadEntry:
    try:
        return command_of(entry)
    except BadEntry as refusal:
        return refusal


async def close_import(database: Database, import_id: UUID, actor: str) -> Import:
    """End the import: it takes no more entries, and each of its tickets that is not closed joins live time.

    Works in several transactions; when it is cut off, calling it again finishes it. Raises Unknown.
    """
    async with database.transaction() as tx:
        if await store.lock_import(tx, import_id) is None:
            raise Unknown("import", import_id)
        await store.close_import(tx, import_id)
    joining = True
    while joining:
        async with database.transaction() as tx:
            tickets = await ticket_store.lock_history(tx, import_id, JOIN_BATCH)
            await record_changes(tx, [Change(join_live(ticket, tx.now), actor) for ticket in tickets])
            joining = bool(tickets)
    async with database.transaction() as tx:
        await store.import_joined(tx, import_id)
        history = await store.lock_import(tx, import_id)
    if history is None:
        raise Unknown("import", import_id)
    return history
