"""Tickets of groups with a rule find their agents: behind the requests, in the role `timers`."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from itertools import count
from uuid import UUID

import structlog
from prometheus_client import Gauge

from opora_chassis.database import Database, Transaction
from opora_chassis.identifiers import new_id
from opora_intake.domain import RuleBroken, Ticket, VersionConflict, decide
from opora_intake.domain.assignment import (
    MOST_GROUPS,
    Choice,
    Member,
    Needs,
    NotAutomatic,
    Rule,
    TooManyGroups,
    after_choice,
    choose,
)
from opora_intake.domain.commands import Assign
from opora_intake.domain.transitions import BEFORE_RESOLVED
from opora_intake.handlers.case_settings import RulesInForce
from opora_intake.handlers.errors import Unknown
from opora_intake.handlers.record import Change, record_changes
from opora_intake.handlers.rounds import keep_at
from opora_intake.handlers.tickets import join_history, seen_ticket
from opora_intake.store import groups as store
from opora_intake.store import tickets as ticket_store
from opora_intake.store.groups import Group, KeptChoice
from opora_intake.store.rows import Reader

ACTOR = "system:assignment"
BATCH = 200
_REST_SECONDS = 1.0
_ROUNDS_A_COUNT = 10
WITHOUT_AGENT = Gauge("opora_tickets_without_agent", "Tickets that wait for an agent in a group with a rule", ["group"])
log = structlog.get_logger()


async def put_group(
    tx: Transaction,
    name: str,
    *,
    rule: Rule,
    needs: Needs,
    members: Sequence[Member],
    expected_version: int | None,
    actor: str,
) -> Group:
    """The group as it is from now on; who stays a member keeps the turn. Raises VersionConflict or TooManyGroups."""
    await store.lock_writers(tx)
    present = await store.lock_group(tx, name)
    if present is None and await store.groups_count(tx) >= MOST_GROUPS:
        raise TooManyGroups
    version = 0 if present is None else present.version
    if expected_version not in {None, version}:
        raise VersionConflict(expected_version or 0, version, what="group is")
    await store.save_group(
        tx,
        Group(
            name=name,
            rule=rule,
            needs=needs,
            turns=0,
            version=version + 1,
            changed_at=tx.now,
            changed_by=actor,
            members=tuple(members),
        ),
    )
    saved = await store.find_group(tx, name)
    if saved is None:
        raise Unknown("group", name)
    return saved


async def set_presence(tx: Transaction, agent: str, *, present: bool) -> list[str]:
    """Note in all groups of the agent whether they are there; the names of the groups. Raises Unknown."""
    groups = await store.lock_groups_of(tx, agent)
    if not groups:
        raise Unknown("agent in any group", agent)
    await store.set_present(tx, agent, present=present)
    return groups


async def assign_now(tx: Transaction, reference: UUID | int, rules: RulesInForce) -> KeptChoice:
    """Choose an agent for this ticket at once; when nobody can be chosen nothing changes, and the answer says why.

    The group is locked before the ticket, as the loop does. Raises Unknown, NotAutomatic, HistoryOpen or what `decide`
    raises.
    """
    seen = await seen_ticket(tx, reference)
    group = None if seen.group is None else await store.lock_group(tx, seen.group)
    ticket = await ticket_store.lock_ticket(tx, seen.id)
    if ticket is None or ticket.group != seen.group:
        raise NotAutomatic("the ticket went to another group at this moment; try again")
    group = _group_of_waiting(ticket, group)
    joined = await join_history(tx, ticket)
    choice = choose(group.rule, group.members, group.needs.of(ticket))
    if choice.agent is None:
        return KeptChoice(ticket.version, group.name, group.rule, choice, tx.now)
    command = Assign(assignee=choice.agent)
    decision = decide(joined.ticket, command, tx.now, message_id=new_id(), actor=ACTOR, rules=await rules.current(tx))
    await record_changes(tx, [Change(joined, ACTOR), Change(decision, ACTOR)])
    await _note(tx, _given(group, choice), [decision.ticket], [choice])
    return KeptChoice(decision.ticket.version, group.name, group.rule, choice, tx.now)


async def explain(reader: Reader, ticket: Ticket, now: datetime) -> KeptChoice | None:
    """How the members of its group stand at present towards a ticket that waits, or else the last choice that was made
    for it; None where no rule ever chose and none will.
    """
    group = None if ticket.group is None else await store.find_group(reader, ticket.group)
    try:
        group = _group_of_waiting(ticket, group)
    except NotAutomatic:
        return await store.newest_choice(reader, ticket.id)
    standing = choose(Rule.MANUAL, group.members, group.needs.of(ticket))
    return KeptChoice(ticket.version, group.name, group.rule, standing, now)


def _group_of_waiting(ticket: Ticket, group: Group | None) -> Group:
    if ticket.assignee is not None:
        raise NotAutomatic(f"{ticket.label} has the assignee {ticket.assignee}; take the assignee away first")
    if ticket.step not in BEFORE_RESOLVED:
        raise NotAutomatic(f"{ticket.label} is {ticket.step.value}; nobody has to work on it")
    if group is None:
        raise NotAutomatic(f"{ticket.label} is in no group that has a rule (PUT /v1/groups/NAME)")
    if group.rule is Rule.MANUAL:
        raise NotAutomatic(f"the rule of the group {group.name} is manual (PUT /v1/groups/NAME)")
    return group


async def assign_batch(
    tx: Transaction, name: str, *, after: tuple[str, int] | None, rules: RulesInForce, limit: int = BATCH
) -> tuple[str, int] | None:
    """Choose agents for the next waiting tickets of the group; the place to go on from, None when there is no more.

    There is no more when no ticket waits behind these, when no member has room, or when another process is at it.
    """
    group = await store.lock_group(tx, name, wait=False)
    if group is None or group.rule is Rule.MANUAL or not any(member.has_room for member in group.members):
        return None
    places = await store.waiting_tickets(tx, name, after=after, limit=limit)
    changes: list[Change] = []
    choices: list[Choice] = []
    in_force = await rules.current(tx)
    for ticket in await store.lock_waiting(tx, name, [number for _, number in places]):
        choice = choose(group.rule, group.members, group.needs.of(ticket))
        if choice.agent is None:
            continue
        command = Assign(assignee=choice.agent)
        try:
            decision = decide(ticket, command, tx.now, message_id=new_id(), actor=ACTOR, rules=in_force)
        except RuleBroken as refusal:
            log.warning("ticket_not_assigned", ticket=ticket.label, reason=str(refusal))
            continue
        changes.append(Change(decision, ACTOR))
        choices.append(choice)
        group = _given(group, choice)
    if changes:
        await record_changes(tx, changes)
        await _note(tx, group, [change.decision.ticket for change in changes], choices)
    has_room = any(member.has_room for member in group.members)
    return places[-1] if len(places) == limit and has_room else None


def _given(group: Group, choice: Choice) -> Group:
    """The group after this choice was carried out."""
    turn = group.turns + 1
    return replace(group, turns=turn, members=tuple(after_choice(group.members, choice.agent or "", turn)))


async def _note(tx: Transaction, group: Group, tickets: Sequence[Ticket], choices: Sequence[Choice]) -> None:
    await store.note_turns(tx, group)
    kept = [(ticket.id, ticket.version, choice) for ticket, choice in zip(tickets, choices, strict=True)]
    await store.add_choices(tx, group, kept, tx.now)


async def assign_round(database: Database, rules: RulesInForce) -> None:
    """Try every ticket that waits in a group with a rule once, each batch in a transaction of its own."""
    for name in await store.waiting_groups(database):
        after: tuple[str, int] | None = None
        while True:
            async with database.transaction() as tx:
                after = await assign_batch(tx, name, after=after, rules=rules)
            if after is None:
                break


async def _tell_who_waits(reader: Reader) -> None:
    waiting = await store.count_waiting(reader)
    WITHOUT_AGENT.clear()
    for group, number in waiting.items():
        WITHOUT_AGENT.labels(group).set(number)


async def keep_assigning(stop: asyncio.Event, *, database: Database, rules: RulesInForce) -> None:
    """Until told to stop, choose agents; a ticket that waits is tried again each second."""
    rounds = count()

    async def work() -> bool:
        await assign_round(database, rules)
        if next(rounds) % _ROUNDS_A_COUNT == 0:
            await _tell_who_waits(database)
        return False

    await keep_at(stop, work, rest_seconds=_REST_SECONDS, waits="assignment_waits")
