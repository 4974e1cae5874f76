"""Finding tickets by words, people and likeness; and keeping what they are found by."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from opora_chassis.database import Transaction
from opora_intake.domain import Ticket
from opora_intake.domain.search import (
    TOGETHER,
    Match,
    Word,
    beginnings_of,
    excludes_words,
    name_words,
    trigrams_of,
)
from opora_intake.store.rows import Reader, ticket_of
from opora_intake.store.tickets import COLUMNS, matching

MOST_MESSAGE_CHARACTERS = 20_000
MOST_INDEXED_CHARACTERS = 60_000
"""Of one message, and of all public messages or all notes of a ticket: beyond them nothing is found."""

MOST_INDEXED_MESSAGES = 200
"""The newest ones."""

SHOWN = "(messages.ticket_id = tickets.id and messages.moved_to is null or messages.moved_to = tickets.id)"
"""A ticket's messages but those that a split moved away, and those that one moved here."""

# The Russian configuration stems words of Latin letters as English. `simple` finds words that it leaves out; where both
# say the same, nothing is looked for twice.
_STEMMED_QUERY, _PLAIN_QUERY = "websearch_to_tsquery('russian', {0})", "websearch_to_tsquery('simple', {0})"
_QUERY = (
    f"(case when {_STEMMED_QUERY} = {_PLAIN_QUERY} then {_PLAIN_QUERY} else {_STEMMED_QUERY} || {_PLAIN_QUERY} end)"
)

_KEY = f"array[(number / {TOGETHER})::integer]"
"""As the indexes have it."""


@dataclass(frozen=True, slots=True)
class Walked:
    """What the newest tickets had; when that was not enough, how many were looked at and between which numbers."""

    matches: list[Match]
    seen: int = 0
    lowest: int = 0
    highest: int = 0


@dataclass(frozen=True, slots=True)
class Titled:
    """A ticket with the words of its title."""

    ticket_id: UUID
    number: int
    words: frozenset[str]


@dataclass(frozen=True, slots=True)
class Excerpts:
    """Where the words stand, between U+0002 and U+0003."""

    title: str
    message: str | None


def _query(text: str, place: str) -> str:
    """What the text asks for. A word that is excluded must not be let in again by the other configuration."""
    return (_STEMMED_QUERY if excludes_words(text) else _QUERY).format(place)


async def walk_newest(
    reader: Reader, text: str, filters: Mapping[str, Any], *, limit: int, most: int, with_messages: bool
) -> Walked:
    """Look through so many of the newest tickets that match the filters, until enough of them have the words.

    Plan: as `list_tickets`, each with a look at ticket_search by its number: 2.5 µs a ticket, however common the words
    are, where sorting all that have a common word would take a second. How far it came is counted in the index, and
    only when not enough was found.
    """
    where, arguments = matching(filters)
    column = "all_words" if with_messages else "title_words"
    arguments.append(text)
    query = _query(text, f"${len(arguments)}")
    # Without a filter the words' own table is walked by its number.
    is_whole = set(filters) <= {"before_number", "open_only"} and filters.get("open_only") is None
    listed = "ticket_search" if is_whole else "tickets join ticket_search using (number)"
    source = f"{listed} {where} order by number desc limit {most}"
    (row,) = await reader.fetch(
        "with matched as materialized (select id, number from"
        f" (select ticket_id as id, number, {column} @@ {query} as has from {source}) as newest"
        f" where has order by number desc limit {limit})"
        " select array(select id from matched order by number desc) as ids,"
        " array(select number from matched order by number desc) as numbers,"
        f" case when (select count(*) from matched) < {limit} then"
        f" (select array[count(*), min(number), max(number)] from (select number from {source}) as newest) end"
        " as walked",
        *arguments,
    )
    matches = [Match(ticket_id, number) for ticket_id, number in zip(row["ids"], row["numbers"], strict=True)]
    return Walked(matches, *(part or 0 for part in row["walked"] or ()))


async def find_by_words(
    reader: Reader, text: str, filters: Mapping[str, Any], *, down_to: int = 0, limit: int, with_messages: bool
) -> list[Match]:
    """Tickets with these words that match the filters, newest first; with `down_to` none whose number is below it.

    Plan: a bitmap scan of ticket_search_of_all or _of_title, sorted; then tickets' primary key until the limit is
    reached. It costs 5 µs a match in PostgreSQL, so the numbers are bounded by their keys in the index, of which
    `down_to` should be a multiple: 2 ms for 65,000 numbers.
    """
    before = filters.get("before_number")
    where, arguments = matching({name: value for name, value in filters.items() if name != "before_number"})
    column = "all_words" if with_messages else "title_words"
    arguments += [text, before]
    query, number = _query(text, f"${len(arguments) - 1}"), f"${len(arguments)}::bigint"
    bounds = f"({number} is null or number < {number})"
    if down_to and before is not None:
        arguments += [down_to, list(range(down_to // TOGETHER, before // TOGETHER + 1))]
        bounds += f" and number >= ${len(arguments) - 1} and {_KEY} && ${len(arguments)}::integer[]"
    filtered = (
        f" cross join lateral (select from tickets {where} and tickets.id = found.ticket_id) as wanted" if where else ""
    )
    rows = await reader.fetch(
        f"with found as materialized (select ticket_id, number from ticket_search where {column} @@ {query}"
        f" and {bounds} order by number desc)"
        f" select ticket_id, number from found{filtered} order by number desc limit {limit}",
        *arguments,
    )
    return [Match(row["ticket_id"], row["number"]) for row in rows]


async def ranked(reader: Reader, text: str, matches: Sequence[Match], *, with_messages: bool) -> list[Match]:
    """These tickets with how well the words fit them, 0 to 1: a word in the title counts most, in a note least."""
    column = "all_words" if with_messages else "title_words"
    rows = await reader.fetch(
        f"select ticket_id, number, ts_rank('{{0, 0.2, 0.4, 1}}', {column}, {_query(text, '$2')}, 32)::float8 as rank"
        " from ticket_search where ticket_id = any($1::uuid[])",
        [match.ticket_id for match in matches],
        text,
    )
    return [Match(row["ticket_id"], row["number"], row["rank"]) for row in rows]


async def find_listed(reader: Reader, filters: Mapping[str, Any], *, limit: int, rank: float) -> list[Match]:
    """Tickets that match filters alone, newest first, all with one rank. Plan: as `list_tickets`."""
    where, arguments = matching(filters)
    rows = await reader.fetch(f"select id, number from tickets {where} order by number desc limit {limit}", *arguments)
    return [Match(row["id"], row["number"], rank) for row in rows]


async def count_listed(reader: Reader, filters: Mapping[str, Any], *, most: int) -> int:
    """How many tickets match, counted up to `most`. Plan: as `list_tickets`, without order."""
    where, arguments = matching(filters)
    rows = await reader.fetch(
        f"select count(*) as count from (select from tickets {where} order by number desc limit {most}) as part",
        *arguments,
    )
    return int(rows[0]["count"])


async def tickets_by_id(reader: Reader, ids: Iterable[UUID]) -> dict[UUID, Ticket]:
    """These tickets."""
    rows = await reader.fetch(f"select {COLUMNS} from tickets where id = any($1::uuid[])", list(ids))
    return {row["id"]: ticket_of(row) for row in rows}


async def excerpts_of(reader: Reader, text: str, ids: Sequence[UUID], *, with_messages: bool) -> dict[UUID, Excerpts]:
    """Where the words stand in these tickets' titles and, for who may read them, in a message.

    Made of the page's tickets only, since ts_headline reads the whole text: the first 5,000 characters of at most 20
    messages each. Plan: primary key, then messages' unique (ticket_id, sequence) and messages_moved.
    """
    query, mark = _query(text, "$2"), "E'StartSel=\\x02, StopSel=\\x03, HighlightAll=true'"
    message = (
        "(select ts_headline('russian', body, {query}, E'StartSel=\\x02, StopSel=\\x03, MaxWords=24, MinWords=12,"
        f" MaxFragments=2') from (select left(body, 5000) as body, sequence from messages where {SHOWN}"
        " order by sequence limit 20) as part where to_tsvector('russian', body) @@ {query} order by sequence limit 1)"
    )
    shown = message.format(query=query) if with_messages else "null::text"
    rows = await reader.fetch(
        f"select id, ts_headline('russian', title, {query}, {mark}) as title, {shown} as message"
        " from tickets where id = any($1::uuid[])",
        list(ids),
        text,
    )
    return {row["id"]: Excerpts(row["title"], row["message"]) for row in rows}


async def customers_named(reader: Reader, expression: str, *, limit: int) -> list[UUID]:
    """Customers whose name or address has words that begin so. Plan: the index customer_search_by_words."""
    rows = await reader.fetch(
        "select customer_id from customer_search where words @@ to_tsquery('simple', $1) limit $2", expression, limit
    )
    return [row["customer_id"] for row in rows]


async def customers_like(reader: Reader, text: str, *, limit: int) -> list[UUID]:
    """Customers with most of the name's trigrams, the most alike first; each word must begin as in the text.

    Plan: the index customer_search_by_trigrams by the words' beginnings, which few names of many share.
    """
    rows = await reader.fetch(
        "select customer_id from (select customer_id, (select count(*) from unnest(trigrams) as one where one ="
        " any($1::text[])) as shared from customer_search where trigrams @> $2::text[]) as part"
        " where shared * 2 >= cardinality($1::text[]) order by shared desc, customer_id limit $3",
        sorted(trigrams_of(text)),
        beginnings_of(text),
        limit,
    )
    return [row["customer_id"] for row in rows]


async def known_words(reader: Reader, words: Sequence[str]) -> dict[str, int]:
    """Those of the words that titles have, with how many tickets had each. Plan: the primary key."""
    rows = await reader.fetch("select word, uses from search_words where word = any($1::text[])", list(words))
    return {row["word"]: row["uses"] for row in rows}


async def words_like(reader: Reader, word: str, *, limit: int = 20) -> list[Word]:
    """Known words that share most trigrams with this one, and its beginning or its end.

    Plan: the index search_words_by_trigrams twice, by the two first letters and by the two last.
    """
    trigrams = trigrams_of(word)
    rows = await reader.fetch(
        "select word, uses, trigrams from (select word, uses, trigrams, (select count(*) from unnest(trigrams) as one"
        " where one = any($1::text[])) as shared from search_words where (trigrams @> $3::text[] or"
        " trigrams @> $4::text[]) and length(word) between $2 - 2 and $2 + 2) as part"
        " order by shared desc, uses desc, word limit $5",
        sorted(trigrams),
        len(word),
        beginnings_of(word),
        [f"{word[-2:].lower()} "],
        limit,
    )
    return [Word(row["word"], row["uses"], frozenset(row["trigrams"])) for row in rows]


async def words_of_title(reader: Reader, title: str) -> list[str]:
    """The words of a title as they are kept."""
    row = await reader.fetchrow("select tsvector_to_array(to_tsvector('simple', $1)) as words", title)
    return [] if row is None else list(row["words"])


async def tickets_total(reader: Reader) -> int:
    """About how many tickets there are: as the server's statistics have it, or counted up to 10,000."""
    row = await reader.fetchrow(
        "select greatest((select reltuples::bigint from pg_class where oid = 'tickets'::regclass),"
        " (select count(*) from (select from tickets limit 10000) as part)) as total"
    )
    return 1 if row is None else max(1, row["total"])


async def titles_with(
    reader: Reader,
    words: Sequence[str],
    weights: Mapping[str, float],
    *,
    weight_of_others: float,
    newest: int | None = None,
    most: int,
) -> list[Titled]:
    """Of the tickets whose title has one of the words, those that promise to be most alike, with their titles' words.

    What promises is the share of the weights, with every word that has none at `weight_of_others`: of the title's words
    and their stems, which are there already; the words as they are written are made of `most` titles only.

    Plan: the index ticket_search_of_title, or with `newest` so many of its numbers; then tickets' primary key.
    """
    given = "(select string_agg(quote_literal(word), ' | ')::tsquery from unnest($1::text[]) as word)"
    source = f"(select * from ticket_search order by number desc limit {newest}) as part" if newest else "ticket_search"
    rows = await reader.fetch(
        "with weighed as materialized (select quote_literal(word)::tsquery as query, weight"
        " from unnest($2::text[], $3::float8[]) as given (word, weight)),"
        " found as materialized (select ticket_id, number, length(title_words) as size,"
        " (select coalesce(sum(weight), 0) from weighed where title_words @@ query) as shared"
        f" from {source} where title_words @@ {given}),"
        " best as materialized (select ticket_id, number from found"
        f" order by shared / (1 + $4::float8 * size) desc, number desc limit {most})"
        " select id, best.number, tsvector_to_array(to_tsvector('simple', title)) as words"
        " from best join tickets on id = ticket_id",
        list(words),
        list(weights),
        list(weights.values()),
        weight_of_others,
    )
    return [Titled(row["id"], row["number"], frozenset(row["words"])) for row in rows]


async def claim_queued(tx: Transaction, limit: int) -> tuple[list[UUID], list[UUID], int] | None:
    """Tickets and customers that changed, and how many entries say so; None when another process is at it.

    One process at a time: of two that wrote one ticket's words, the one with the older text might be the later.
    """
    if not await tx.fetchval("select pg_try_advisory_xact_lock(hashtext('opora search'))"):
        return None
    rows = await tx.fetch(
        "delete from search_queue where id in (select id from search_queue order by id limit $1)"
        " returning ticket_id, customer_id",
        limit,
    )
    tickets = dict.fromkeys(row["ticket_id"] for row in rows if row["ticket_id"] is not None)
    customers = dict.fromkeys(row["customer_id"] for row in rows if row["customer_id"] is not None)
    return list(tickets), list(customers), len(rows)


async def queued(reader: Reader) -> int:
    """How many changes wait to be searchable, counted up to 100,000."""
    row = await reader.fetchrow("select count(*) as waiting from (select from search_queue limit 100000) as part")
    return 0 if row is None else row["waiting"]


async def new_title_words(tx: Transaction, ids: Sequence[UUID]) -> list[list[str]]:
    """The words of the titles of those tickets that are searchable for the first time."""
    rows = await tx.fetch(
        "select tsvector_to_array(to_tsvector('simple', title)) as words from tickets where id = any($1::uuid[])"
        " and not exists (select from ticket_search where ticket_id = tickets.id)",
        list(ids),
    )
    return [list(row["words"]) for row in rows]


async def count_words(tx: Transaction, uses: Mapping[str, int]) -> None:
    """Remember that so many more tickets have each word."""
    await tx.executemany(
        "insert into search_words (word, uses, trigrams) values ($1, $2, $3)"
        " on conflict (word) do update set uses = search_words.uses + excluded.uses",
        [(word, count, sorted(trigrams_of(word))) for word, count in sorted(uses.items())],
    )


def _texts(visibility: str) -> str:
    return f"left(string_agg(body, E'\\n' order by sequence desc) filter (where visibility = '{visibility}'), "


INDEX_TICKETS = f"""
insert into ticket_search (ticket_id, number, title_words, all_words)
select tickets.id, tickets.number, titled.words,
       titled.words || setweight(to_tsvector('russian', coalesce(written.public, '')), 'B')
       || setweight(to_tsvector('russian', coalesce(written.internal, '')), 'C')
from tickets
cross join lateral (
    select setweight(to_tsvector('russian', title) || to_tsvector('simple', title), 'A') as words
) as titled
cross join lateral (
    select {_texts("public")} {MOST_INDEXED_CHARACTERS}) as public,
           {_texts("internal")} {MOST_INDEXED_CHARACTERS}) as internal
    from (
        select left(body, {MOST_MESSAGE_CHARACTERS}) as body, visibility, sequence from messages
        where {SHOWN} order by sequence desc limit {MOST_INDEXED_MESSAGES}
    ) as newest
) as written
where tickets.id = any($1::uuid[])
on conflict (ticket_id) do update set title_words = excluded.title_words, all_words = excluded.all_words
"""
"""Plan: primary key of tickets, then messages' unique (ticket_id, sequence) and messages_moved."""


async def index_tickets(tx: Transaction, ids: Sequence[UUID]) -> None:
    """Let these tickets be found by what they say now."""
    await tx.execute(INDEX_TICKETS, list(ids))


async def index_customers(tx: Transaction, ids: Sequence[UUID]) -> None:
    """Let these customers be found by the name and the addresses that they have now."""
    rows = await tx.fetch(
        "select id, name, array(select address from customer_emails where customer_id = customers.id order by ordinal)"
        " as addresses from customers where id = any($1::uuid[])",
        list(ids),
    )
    await tx.executemany(
        "insert into customer_search (customer_id, words, trigrams) values ($1, to_tsvector('simple', $2), $3)"
        " on conflict (customer_id) do update set words = excluded.words, trigrams = excluded.trigrams",
        [(row["id"], name_words(row["name"], *row["addresses"]), sorted(trigrams_of(row["name"]))) for row in rows],
    )
