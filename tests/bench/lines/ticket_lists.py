"""What agents look at all day, among many tickets: their views, searches, counts, similar tickets."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import asyncpg
import httpx

from opora_chassis.http.pages import encode_cursor
from opora_intake.domain.search import trigrams_of
from opora_intake.store.search import INDEX_TICKETS
from tests.bench.ground import Ground, ServiceDatabase, settings_of
from tests.bench.row import Row, limited

_SIZE, _FULL_SIZE = 100_000, 1_000_000
_BATCH = 20_000
_REQUESTS = 60
_LIMIT_SECONDS = 0.05
_PEOPLE = 20_000
_AGENTS, _GROUPS, _ORGANIZATIONS = 200, 20, 500

_WORDS = """
create temporary table vocabulary as
select row_number() over () as rank, word from (
    -- Common words first, then so many others that the fiftieth thousandth stands in one title of thousands.
    select word from unnest(array['printer', 'login', 'network', 'mail', 'error', 'access', 'update', 'screen',
        'server', 'принтер', 'доступ', 'ошибка', 'password', 'invoice', 'certificate', 'backup', 'vpn']) as word
    union all
    select translate(md5(number::text), '0123456789', 'ghijklmnop') from generate_series(1, 50000) as number
) as words
"""
# A word's rank is drawn so that a few are in a large part of the titles and most are rare (Zipf's law).
_TICKETS = """
insert into tickets (id, number, title, channel, kind, language, impact, urgency, priority, priority_explicit,
    requester_id, organization_id, product, category, "group", assignee, import_ordinal, step, step_changed_at,
    waiting_on, waiting_changed_at, cycle, cycle_started_at, opened_at, last_time, version)
select made.id, made.number, titled.title, 'web', 'incident', 'en', 'medium', 'medium', 'P' || (1 + n % 4), false,
    person.id, person.organization_id, 'product-' || n % 40, 'category-' || n % 100, 'group-' || n % 20,
    case when n % 5 > 0 then 'agent-' || n % 200 end, 0,
    case when n % 20 > 0 and n <= $2 - $2 / 20 then 'closed' when n % 3 = 0 then 'assessed' else 'received' end,
    made.at, case when n % 7 = 0 then 'customer' end, made.at, 1, made.at, made.at, made.at, 2
from generate_series($1::bigint, $1 + 19999) as n
cross join lateral (select gen_random_uuid() as id, nextval('ticket_numbers') as number,
    timestamptz '2020-01-01' + n * interval '2 minutes' as at) as made
cross join lateral (select string_agg(word, ' ') as title from (select ceil(power(50000, random()) + 0 * n)::bigint
    as drawn from generate_series(1, 6) offset 0) as draws join vocabulary on rank = drawn) as titled
join people person on person.place = n % 20000
where titled.title is not null
"""
_MESSAGES = """
insert into messages (id, ticket_id, visibility, author_kind, channel, body, written_at, sequence)
select gen_random_uuid(), tickets.id, case place when 3 then 'internal' else 'public' end, 'agent', 'web',
    written.body, opened_at, place
from tickets cross join generate_series(1, 2) as place
cross join lateral (select string_agg(word, ' ') as body from (select ceil(power(50000, random()) + 0 * (number +
    place))::bigint as drawn from generate_series(1, 25) offset 0) as draws join vocabulary on rank = drawn) as written
where tickets.number between $1 and $2 and written.body is not null
"""


@dataclass(frozen=True, slots=True)
class _Desk:
    """A running intake with so many tickets."""

    client: httpx.AsyncClient
    words: list[str]
    """Of middling rarity."""
    numbers: tuple[int, int]
    organizations: list[str]


async def measure(ground: Ground) -> list[Row]:
    """Each view's 95th percentile over requests that are no two alike, one after the other."""
    size = _FULL_SIZE if ground.full else _SIZE
    database = await ground.database("intake")
    connection = await asyncpg.connect(database.dsn)
    try:
        await _fill(connection, size)
        words = [
            row["word"] for row in await connection.fetch("select word from vocabulary where rank between 300 and 900")
        ]
        low, high = await connection.fetchrow("select min(number), max(number) from tickets")
        organizations = [str(row["id"]) for row in await connection.fetch("select id from organizations order by id")]
    finally:
        await connection.close()
    async with (
        ground.processes([["-m", "opora_intake", "serve"]], **settings_of(ground, database)) as (address,),
        _client(address, database) as client,
    ):
        desk = _Desk(client, words, (low, high), organizations)
        return [await _line(name, size, desk, path) for name, path in _PATHS.items()]


async def _line(name: str, size: int, desk: _Desk, path: "_Path") -> Row:
    for number in range(-5, 0):
        await _ask(desk, path(desk, number))
    times = sorted([await _ask(desk, path(desk, number)) for number in range(_REQUESTS)])
    return limited(
        f"{name}, {size:,} tickets: p95",
        times[int(len(times) * 0.95)],
        _LIMIT_SECONDS,
        f"p50 {times[len(times) // 2] * 1000:.1f} ms, slowest {times[-1] * 1000:.0f} ms",
    )


async def _ask(desk: _Desk, asked: tuple[str, dict[str, Any]]) -> float:
    path, query = asked
    began = time.perf_counter()
    answer = await desk.client.get(f"/v1{path}", params=query)
    took = time.perf_counter() - began
    answer.raise_for_status()
    return took


_Path = Callable[[_Desk, int], tuple[str, dict[str, Any]]]


def _listed(**query: Any) -> _Path:
    """The list with these filters, of which a value may depend on the request's number."""

    def path(desk: _Desk, number: int) -> tuple[str, dict[str, Any]]:
        return "/tickets", {name: value(desk, number) if callable(value) else value for name, value in query.items()}

    return path


def _searched(text: Callable[[_Desk, int], str], **query: Any) -> _Path:
    return lambda desk, number: ("/search", {"text": text(desk, number), **query})


_COMMON = ("printer", "login", "network", "mail", "error", "access", "принтеры", "доступ")


def _common(_desk: _Desk, number: int) -> str:
    return _COMMON[number % len(_COMMON)]


def _rare(desk: _Desk, number: int) -> str:
    return desk.words[number * 7 % len(desk.words)]


_PATHS: dict[str, _Path] = {
    "list, newest": _listed(),
    "list, an agent's open ones": _listed(open=True, assignee=lambda _desk, n: f"agent-{n % _AGENTS}"),
    "list, a group's open ones without assignee": _listed(
        open=True, unassigned=True, group=lambda _desk, n: f"group-{n % _GROUPS}"
    ),
    "list, open P1": _listed(open=True, priority="P1"),
    "list, open and waiting for the customer": _listed(open=True, waiting_on="customer"),
    "list, an organisation's": _listed(organization_id=lambda desk, n: desk.organizations[n % _ORGANIZATIONS]),
    "list, a product's open ones": _listed(open=True, product=lambda _desk, n: f"product-{n % 40}"),
    "list, open ones of long ago": _listed(
        open=True, created_before=lambda _desk, n: f"2020-{1 + n % 6:02}-15T00:00:00Z"
    ),
    "list, a deep page": _listed(
        open=True,
        cursor=lambda desk, n: encode_cursor({"before_number": desk.numbers[0] + (desk.numbers[1] // 100) * (n % 60)}),
    ),
    "search, a common word": _searched(_common),
    "search, a rarer word": _searched(_rare),
    "search, two common words": _searched(lambda d, n: f"{_common(d, n)} {_common(d, n + 3)}"),
    "search, a common and a rarer word": _searched(lambda d, n: f"{_common(d, n)} {_rare(d, n)}"),
    "search, a common word in an agent's open ones": _searched(_common, open=True, assignee="agent-7"),
    "search, best first": _searched(_common, sort="relevance"),
    "search, a number": _searched(lambda d, n: f"OP-{d.numbers[0] + (n * 7919) % (d.numbers[1] - d.numbers[0])}"),
    "search, a person": _searched(lambda _d, n: f"Person {n * 131 % _PEOPLE}"),
    "search, a misspelt word": _searched(lambda d, n: _rare(d, n)[:9] + "x" + _rare(d, n)[10:]),
    "similar tickets of a draft": lambda d, n: ("/similar", {"title": f"{_common(d, n)} {_rare(d, n)} fails"}),
    "ten views with their counts": lambda _d, _n: ("/views", {"counts": True}),
}


def _client(address: str, database: ServiceDatabase) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=address, headers={"Authorization": f"Bearer {database.token}"}, trust_env=False, timeout=60
    )


async def _fill(connection: Any, size: int) -> None:
    """Tickets, messages and what they are found by, in sets; indexes of the search are made afterwards, as one is."""
    await connection.execute(_WORDS)
    await connection.execute(
        "create index on vocabulary (rank); analyze vocabulary;"
        "insert into organizations (id, name, time_zone, version, last_time)"
        " select gen_random_uuid(), 'Company ' || n, 'UTC', 1, '2020-01-01' from generate_series(1, 500) as n;"
        "create temporary table people as select place, gen_random_uuid() as id, (array(select id from organizations"
        " order by id))[1 + place % 500] as organization_id from generate_series(0, 19999) as place;"
        "create index on people (place);"
        "insert into customers (id, name, email, language, time_zone, organization_id, version, last_time)"
        " select id, 'Person ' || place, 'person-' || place || '@bench.example', 'en', 'UTC', organization_id, 1,"
        " '2020-01-01' from people"
    )
    for first in range(1, size + 1, _BATCH):
        await connection.execute(_TICKETS, first, size, timeout=600)
    low, high = await connection.fetchrow("select min(number), max(number) from tickets")
    for first in range(low, high + 1, _BATCH):
        await connection.execute(_MESSAGES, first, first + _BATCH - 1, timeout=600)
    await _index(connection)
    await connection.execute(
        "insert into views (id, name, query, owner, shared, position, changed_at)"
        " select gen_random_uuid(), 'Agent ' || n, jsonb_build_object('open', true, 'assignee', 'agent-' || n),"
        " 'key:bench', true, n, '2020-01-01' from generate_series(1, 10) as n"
    )
    await connection.execute("vacuum analyze", timeout=600)


async def _index(connection: Any) -> None:
    """What the worker would have written."""
    indexes = await connection.fetch("select indexname, indexdef from pg_indexes where indexdef like '%USING gin%'")
    for index in indexes:
        await connection.execute(f"drop index {index['indexname']}")
    ids = [row["id"] for row in await connection.fetch("select id from tickets order by number")]
    for place in range(0, len(ids), _BATCH):
        await connection.execute(INDEX_TICKETS, ids[place : place + _BATCH], timeout=600)
    await connection.execute("truncate search_queue")
    await connection.execute(
        "insert into customer_search select id, to_tsvector('simple', name || ' ' || translate(email, '@.-', '   ')),"
        " array['  p', ' pe', 'per', 'ers', 'rso', 'son', 'on '] from customers"
    )
    words = await connection.fetch(
        "select word, ndoc from ts_stat($$select to_tsvector('simple', title) from tickets$$) where length(word) > 3",
        timeout=600,
    )
    await connection.executemany(
        "insert into search_words values ($1, $2, $3)",
        [(row["word"], row["ndoc"], sorted(trigrams_of(row["word"]))) for row in words],
    )
    for index in indexes:
        await connection.execute(index["indexdef"], timeout=600)
