"""Groups with their members, the tickets that wait for an agent there, and why agents were chosen."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from opora_chassis.database import Transaction
from opora_intake.domain import Ticket
from opora_intake.domain.assignment import Choice, Considered, Member, Needs, Rule, Standing
from opora_intake.store.rows import Reader, rows_json, ticket_of
from opora_intake.store.tickets import COLUMNS

_GROUP = "name, rule, needs, turns, version, changed_at, changed_by"
# As the indexes tickets_waiting and tickets_in_work have it, so that the planner sees that they may be used.
_IN_WORK = "\"group\" is not null and step in ('received', 'assessed', 'diagnosed', 'planned')"
_WRITERS = 7_310_003
"""The advisory lock of those who write groups: a group that does not exist yet has no row to lock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A group with its rule and its members."""

    name: str
    rule: Rule
    needs: Needs
    turns: int
    """How often an agent was chosen."""
    version: int
    changed_at: datetime
    changed_by: str
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class KeptChoice:
    """A choice that was carried out."""

    sequence: int
    group: str
    rule: Rule
    choice: Choice
    time: datetime


async def find_group(reader: Reader, name: str) -> Group | None:
    """The group with its members and what they have in work."""
    return next(iter(await _with_members(reader, await _rows(reader, "where name = $1", name))), None)


async def lock_group(tx: Transaction, name: str, *, wait: bool = True) -> Group | None:
    """The group, with nobody else choosing or changing members before this transaction ends.

    None when there is no such group; without `wait` also when another transaction has it.
    """
    how = "" if wait else " skip locked"
    rows = await tx.fetch(f"select {_GROUP} from groups where name = $1 for update{how}", name)
    return next(iter(await _with_members(tx, rows)), None)


async def lock_writers(tx: Transaction) -> None:
    """Nobody else adds, replaces or removes a group before this transaction has ended."""
    await tx.execute("select pg_advisory_xact_lock($1)", _WRITERS)


async def groups_count(reader: Reader) -> int:
    """How many groups there are."""
    row = await reader.fetchrow("select count(*) as number from groups")
    return 0 if row is None else int(row["number"])


async def list_groups(reader: Reader, *, after: str, limit: int) -> list[Group]:
    """Groups by name. Plan: range scan of the primary key."""
    return await _with_members(reader, await _rows(reader, "where name > $1 order by name limit $2", after, limit))


async def waiting_groups(reader: Reader) -> list[str]:
    """The automatic groups with a present member and a ticket that waits, by name. Plan: one probe a group."""
    rows = await reader.fetch(
        "select name from groups where rule <> 'manual'"
        " and exists (select from group_members where group_name = name and present)"
        f' and exists (select from tickets where "group" = name and assignee is null and {_IN_WORK}'
        " and import_id is null) order by name"
    )
    return [row["name"] for row in rows]


async def count_waiting(reader: Reader) -> dict[str, int]:
    """How many tickets wait for an agent in each automatic group. Plan: a range of tickets_waiting a group."""
    rows = await reader.fetch(
        "select name, (select count(*) from tickets"
        f' where "group" = name and assignee is null and {_IN_WORK} and import_id is null) as waiting'
        " from groups where rule <> 'manual'"
    )
    return {row["name"]: row["waiting"] for row in rows}


async def save_group(tx: Transaction, group: Group) -> None:
    """Insert or replace the group and its members; one who stays keeps the turn. An existing one must be locked."""
    await tx.execute(
        "insert into groups (name, rule, needs, version, changed_at, changed_by) values ($1, $2, $3, $4, $5, $6)"
        " on conflict (name) do update set rule = $2, needs = $3, version = $4, changed_at = $5, changed_by = $6",
        group.name,
        group.rule.value,
        group.needs.model_dump(mode="json"),
        group.version,
        group.changed_at,
        group.changed_by,
    )
    await tx.execute(
        "delete from group_members where group_name = $1 and agent <> all($2::text[])",
        group.name,
        [member.agent for member in group.members],
    )
    rows = [
        {"agent": one.agent, "skills": sorted(one.skills), "capacity": one.capacity, "present": one.present}
        for one in group.members
    ]
    await tx.execute(
        "insert into group_members (group_name, agent, skills, capacity, present)"
        " select $1, * from json_to_recordset($2::text::json)"
        " as member (agent text, skills text[], capacity integer, present boolean)"
        " on conflict (group_name, agent) do update set"
        " skills = excluded.skills, capacity = excluded.capacity, present = excluded.present",
        group.name,
        rows_json(rows),
    )


async def remove_group(tx: Transaction, name: str) -> None:
    """Remove the group and its members; its tickets keep its name."""
    await tx.execute("delete from groups where name = $1", name)


async def lock_groups_of(tx: Transaction, agent: str) -> list[str]:
    """The groups of which the agent is a member, locked in the order of their names."""
    rows = await tx.fetch(
        "select name from groups where name in (select group_name from group_members where agent = $1)"
        " order by name for update",
        agent,
    )
    return [row["name"] for row in rows]


async def set_present(tx: Transaction, agent: str, *, present: bool) -> None:
    """Note in every group whether the agent is there; the groups must be locked by this transaction."""
    await tx.execute("update group_members set present = $2 where agent = $1", agent, present)


async def waiting_tickets(
    reader: Reader, group: str, *, after: tuple[str, int] | None, limit: int
) -> list[tuple[str, int]]:
    """The (priority, number) of tickets of the group that wait for an agent, the most urgent and oldest first.

    Plan: range scan of tickets_waiting.
    """
    priority, number = after or ("", 0)
    rows = await reader.fetch(
        f'select priority, number from tickets where "group" = $1 and assignee is null and {_IN_WORK}'
        " and import_id is null and (priority, number) > ($2, $3) order by priority, number limit $4",
        group,
        priority,
        number,
        limit,
    )
    return [(row["priority"], row["number"]) for row in rows]


async def lock_waiting(tx: Transaction, group: str, numbers: Iterable[int]) -> list[Ticket]:
    """Those of the tickets that still wait in the group, locked, the most urgent and oldest first.

    One that somebody else is at is passed over.
    """
    rows = await tx.fetch(
        f'select {COLUMNS} from tickets where number = any($2::bigint[]) and "group" = $1 and assignee is null'
        f" and {_IN_WORK} and import_id is null order by priority, number for update skip locked",
        group,
        list(numbers),
    )
    return [ticket_of(row) for row in rows]


async def note_turns(tx: Transaction, group: Group) -> None:
    """Note whose turn it was; the group must be locked by this transaction."""
    await tx.execute("update groups set turns = $2 where name = $1", group.name, group.turns)
    await tx.execute(
        "update group_members set turn = told.turn from json_to_recordset($2::text::json)"
        " as told (agent text, turn bigint) where group_name = $1 and group_members.agent = told.agent",
        group.name,
        rows_json({"agent": one.agent, "turn": one.turn} for one in group.members),
    )


async def add_choices(
    tx: Transaction, group: Group, choices: Sequence[tuple[UUID, int, Choice]], time: datetime
) -> None:
    """Keep why each ticket, at the fact of this sequence, was given to its agent."""
    rows = [
        {
            "ticket_id": ticket_id,
            "sequence": sequence,
            "agent": choice.agent,
            "needed": choice.needed,
            "considered": choice.considered,
        }
        for ticket_id, sequence, choice in choices
    ]
    await tx.execute(
        "insert into assignment_choices (ticket_id, sequence, group_name, rule, agent, needed, considered, time)"
        " select ticket_id, sequence, $2, $3, agent, needed, considered, $4 from json_to_recordset($1::text::json)"
        " as choice (ticket_id uuid, sequence bigint, agent text, needed text[], considered jsonb)",
        rows_json(rows),
        group.name,
        group.rule.value,
        time,
    )


async def newest_choice(reader: Reader, ticket_id: UUID) -> KeptChoice | None:
    """The last choice that was made for the ticket. Plan: backward scan of the primary key, one row."""
    row = await reader.fetchrow(
        "select * from assignment_choices where ticket_id = $1 order by sequence desc limit 1", ticket_id
    )
    if row is None:
        return None
    considered = tuple(_considered(one) for one in row["considered"])
    choice = Choice(row["agent"], tuple(row["needed"]), considered)
    return KeptChoice(row["sequence"], row["group_name"], Rule(row["rule"]), choice, row["time"])


def _considered(one: dict[str, Any]) -> Considered:
    return Considered(**{**one, "standing": Standing(one["standing"]), "missing": tuple(one["missing"])})


async def _rows(reader: Reader, where: str, *arguments: Any) -> list[asyncpg.Record]:
    return await reader.fetch(f"select {_GROUP} from groups {where}", *arguments)


async def _with_members(reader: Reader, groups: Sequence[asyncpg.Record]) -> list[Group]:
    if not groups:
        return []
    rows = await reader.fetch(
        "select group_name, agent, skills, capacity, present, turn,"
        f' (select count(*) from tickets where "group" = group_name and assignee = agent and {_IN_WORK}) as load'
        " from group_members where group_name = any($1::text[]) order by agent",
        [group["name"] for group in groups],
    )
    members: dict[str, list[Member]] = {}
    for row in rows:
        fields = {name: row[name] for name in ("agent", "capacity", "present", "load", "turn")}
        members.setdefault(row["group_name"], []).append(Member(**fields, skills=frozenset(row["skills"])))
    return [
        Group(
            **{
                **group,
                "rule": Rule(group["rule"]),
                "needs": Needs.model_validate(group["needs"]),
                "members": tuple(members.get(group["name"], ())),
            }
        )
        for group in groups
    ]
