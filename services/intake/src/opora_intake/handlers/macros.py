"""Macros: kept under names, and carried out on a ticket."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from opora_chassis.database import Transaction
from opora_chassis.identifiers import new_id
from opora_intake.domain import Message, RuleBroken, Ticket, TooMany, VersionConflict
from opora_intake.domain.commands import Watch
from opora_intake.domain.macros import (
    MOST_MACROS,
    Macro,
    MacroDraft,
    OperationRefused,
    check_operations,
    commands_of,
    decide_all,
)
from opora_intake.handlers.case_settings import RulesInForce
from opora_intake.handlers.errors import NameTaken, Unknown
from opora_intake.handlers.record import Change, record_changes
from opora_intake.handlers.tickets import join_history, locked_ticket, require_watchers
from opora_intake.store import customers as customer_store
from opora_intake.store import macros as store


@dataclass(frozen=True, slots=True)
class MacroOutcome:
    """The ticket after a macro, and what was written on it."""

    ticket: Ticket
    messages: Sequence[Message]


async def add_macro(tx: Transaction, name: str, draft: MacroDraft, actor: str, rules: RulesInForce) -> Macro:
    """A new macro. Raises NameTaken, TooMany or OperationRefused."""
    if await store.lock_macros(tx) >= MOST_MACROS:
        raise TooMany("macros", MOST_MACROS, of="An installation")
    if await store.find_macro(tx, name) is not None:
        raise NameTaken("macro", name)
    return await _save(tx, name, draft, actor, rules, version=1)


async def replace_macro(
    tx: Transaction, name: str, draft: MacroDraft, actor: str, rules: RulesInForce, *, expected_version: int | None
) -> Macro:
    """The macro, as it is from now on. Raises Unknown, VersionConflict or OperationRefused."""
    await store.lock_macros(tx)
    present = await store.find_macro(tx, name)
    if present is None:
        raise Unknown("macro", name)
    if expected_version not in {None, present.version}:
        raise VersionConflict(expected_version or 0, present.version, what="macro is")
    return await _save(tx, name, draft, actor, rules, version=present.version + 1)


async def remove_macro(tx: Transaction, name: str) -> None:
    """Forget the macro; what it did stays done. Raises Unknown."""
    await store.lock_macros(tx)
    if not await store.remove_macro(tx, name):
        raise Unknown("macro", name)


async def run_macro(
    tx: Transaction,
    reference: UUID | int,
    name: str,
    *,
    expected_version: int | None,
    actor: str,
    rules: RulesInForce,
) -> MacroOutcome:
    """Carry out every operation of the macro on the ticket, in order, or none.

    Raises Unknown, VersionConflict, HistoryOpen, or OperationRefused with the reason.
    """
    macro = await store.find_macro(tx, name)
    if macro is None:
        raise Unknown("macro", name)
    ticket = await locked_ticket(tx, reference)
    if expected_version not in {None, ticket.version}:
        raise VersionConflict(expected_version or 0, ticket.version)
    commands = commands_of(macro.operations, ticket, await _requester_name(tx, ticket))
    for position, command in enumerate(commands, 1):
        if isinstance(command, Watch):
            try:
                await require_watchers(tx, command)
            except RuleBroken as refusal:
                raise OperationRefused(position, command.action, refusal) from refusal
    joined = await join_history(tx, ticket)
    decisions = decide_all(
        joined.ticket,
        commands,
        tx.now,
        message_ids=[new_id() for _ in commands],
        actor=actor,
        rules=await rules.current(tx),
    )
    if any(decision.facts for decision in decisions):
        await record_changes(tx, [Change(each, actor) for each in (joined, *decisions)])
    return MacroOutcome(
        decisions[-1].ticket, [decision.message for decision in decisions if decision.message is not None]
    )


async def _save(
    tx: Transaction, name: str, draft: MacroDraft, actor: str, rules: RulesInForce, *, version: int
) -> Macro:
    check_operations(draft.operations, await rules.current(tx))
    macro = Macro(
        name=name,
        description=draft.description,
        operations=draft.operations,
        version=version,
        changed_at=tx.now,
        changed_by=actor,
    )
    await store.save_macro(tx, macro)
    return macro


async def _requester_name(tx: Transaction, ticket: Ticket) -> str | None:
    if ticket.requester_id is None:
        return None
    survivors = await customer_store.survivors_of(tx, [ticket.requester_id])  # the record that people keep up to date
    known = await customer_store.customers_by_id(tx, survivors.values())
    return next((requester.name.strip() or None for requester in known.values()), None)
