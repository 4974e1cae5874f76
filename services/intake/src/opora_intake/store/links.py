"""Links between tickets, and whose messages a ticket shows."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

from opora_chassis.database import Transaction
from opora_contracts.vocabulary import Relation, Step
from opora_intake.domain import Message, Ticket
from opora_intake.domain.links import TicketLink
from opora_intake.store.rows import Reader, message_of, ticket_of
from opora_intake.store.tickets import COLUMNS, MESSAGE

_LINK = "from_id, to_id, relation, since, actor"
_LINKERS = 7_310_002
"""The advisory lock of those who link tickets: a circle may be closed by two who do not see each other."""


async def ids_of(reader: Reader, references: Sequence[UUID | int]) -> list[UUID | None]:
    """The ids of the tickets that these ids or numbers name, in the same order."""
    rows = await reader.fetch(
        "select id, number from tickets where id = any($1::uuid[]) or number = any($2::bigint[])",
        [each for each in references if isinstance(each, UUID)],
        [each for each in references if not isinstance(each, UUID)],
    )
    known: dict[UUID | int, UUID] = {row["number"]: row["id"] for row in rows} | {row["id"]: row["id"] for row in rows}
    return [known.get(each) for each in references]


async def lock_tickets(tx: Transaction, ticket_ids: Iterable[UUID]) -> dict[UUID, Ticket]:
    """The tickets by id, locked in the order of their ids."""
    rows = await tx.fetch(
        f"select {COLUMNS} from tickets where id = any($1::uuid[]) order by id for update", list(ticket_ids)
    )
    return {row["id"]: ticket_of(row) for row in rows}


async def end_of_merges(reader: Reader, ticket_id: UUID) -> UUID:
    """The ticket that goes on for this one, at the end of however many merges; itself when it was merged into none.

    Merges make no circle: a ticket that was merged is closed, and what is closed takes none in.
    """
    row = await reader.fetchrow(
        "with recursive onward (id, merged_into) as ("
        " select id, merged_into from tickets where id = $1"
        " union select next.id, next.merged_into from onward join tickets next on next.id = onward.merged_into"
        ") select id from onward where merged_into is null",
        ticket_id,
    )
    return ticket_id if row is None else row["id"]


async def newest_continuation(reader: Reader, ticket_id: UUID, requester_id: UUID) -> UUID | None:
    """The newest ticket of this requester that continues the ticket. Plan: ticket_links_to."""
    row = await reader.fetchrow(
        "select tickets.id from ticket_links join tickets on tickets.id = from_id"
        " where to_id = $1 and relation = 'continues' and requester_id = $2 order by number desc limit 1",
        ticket_id,
        requester_id,
    )
    return None if row is None else row["id"]


async def lock_links(tx: Transaction) -> None:
    """Nobody else makes a link before this transaction has ended."""
    await tx.execute("select pg_advisory_xact_lock($1)", _LINKERS)


async def add_link(tx: Transaction, link: TicketLink) -> bool:
    """Keep the link; False when it is there already."""
    tag = await tx.execute(
        f"insert into ticket_links ({_LINK}) values ($1, $2, $3, $4, $5) on conflict do nothing",
        link.from_id,
        link.to_id,
        link.relation,
        link.since,
        link.actor,
    )
    return tag.endswith(" 1")


async def has_link(reader: Reader, link: TicketLink) -> bool:
    """Whether the link is there."""
    row = await reader.fetchrow(
        "select 1 as found from ticket_links where from_id = $1 and to_id = $2 and relation = $3",
        link.from_id,
        link.to_id,
        link.relation,
    )
    return row is not None


async def remove_link(tx: Transaction, link: TicketLink) -> bool:
    """Take the link away; False when there is none."""
    tag = await tx.execute(
        "delete from ticket_links where from_id = $1 and to_id = $2 and relation = $3",
        link.from_id,
        link.to_id,
        link.relation,
    )
    return tag.endswith(" 1")


async def leads_to(reader: Reader, start: UUID, goal: UUID, relation: Relation) -> bool:
    """Whether one comes from `start` to `goal` by links of this relation. Plan: one index scan a ticket on the way."""
    row = await reader.fetchrow(
        "with recursive reached (id) as (select $1::uuid"
        " union select link.to_id from reached join ticket_links link on link.from_id = reached.id"
        " and link.relation = $3) select 1 as found from reached where id = $2",
        start,
        goal,
        relation,
    )
    return row is not None


async def parents_of(reader: Reader, child: UUID) -> int:
    """How many parents the ticket has. Plan: ticket_links_to."""
    rows = await reader.fetch("select 1 from ticket_links where to_id = $1 and relation = 'parent_of'", child)
    return len(rows)


async def count_links(reader: Reader, ticket_id: UUID) -> int:
    """How many links the ticket has, whichever end it is."""
    row = await reader.fetchrow(
        "select count(*) as count from ticket_links where from_id = $1 or to_id = $1", ticket_id
    )
    return 0 if row is None else row["count"]


async def links_of(reader: Reader, ticket_id: UUID, limit: int) -> list[tuple[TicketLink, int, str, Step]]:
    """The ticket's oldest links with number, title and step of the other end."""
    rows = await reader.fetch(
        f"select {_LINK}, number, title, step from ticket_links join tickets"
        " on tickets.id = case when from_id = $1 then to_id else from_id end"
        " where from_id = $1 or to_id = $1 order by since, number limit $2",
        ticket_id,
        limit,
    )
    return [
        (
            TicketLink(
                from_id=row["from_id"],
                to_id=row["to_id"],
                relation=Relation(row["relation"]),
                since=row["since"],
                actor=row["actor"],
            ),
            row["number"],
            row["title"],
            Step(row["step"]),
        )
        for row in rows
    ]


_SHOWN = """
with recursive merged (id) as (
    select $1::uuid
    union select tickets.id from merged join tickets on tickets.merged_into = merged.id
)
select {columns} from messages
where (ticket_id in (select id from merged) and moved_to is null) or moved_to in (select id from merged)
"""


async def shown_messages(
    reader: Reader, ticket_id: UUID, *, after: tuple[datetime, UUID] | None, limit: int
) -> list[Message]:
    """What the ticket shows, oldest first: what was written on it and on those merged into it, without what was split
    off, and with what was split off for it.

    Plan: tickets_merged_into for the tickets, messages_ticket_id_sequence_key and messages_moved for each.
    """
    written_at, message_id = after or (None, None)
    rows = await reader.fetch(
        f"select * from ({_SHOWN.format(columns=MESSAGE)}) as shown"
        " where $2::timestamptz is null or (written_at, id) > ($2, $3::uuid) order by written_at, id limit $4",
        ticket_id,
        written_at,
        message_id,
        limit,
    )
    return [message_of(row) for row in rows]


async def move_messages(tx: Transaction, messages: Iterable[UUID], to: UUID) -> None:
    """Show the messages on another ticket from here on. Where and under which number they were written is kept."""
    await tx.execute("update messages set moved_to = $2 where id = any($1::uuid[])", list(messages), to)
