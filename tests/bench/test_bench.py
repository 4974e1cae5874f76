"""The benches' own parts: who is measured when, what a ratio is, what the report says, what the client counts."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
import uvloop

from tests.bench.http_load import post, pour, press
from tests.bench.plot import margin, write_plot
from tests.bench.profiles import shares_of
from tests.bench.report import BEGIN, END, document, write_page
from tests.bench.row import Reach, Row, alternate, duration, limited, ratio

ROWS = [
    Row("relay drain", "300/s", "a loop of sends", "100/s", 3.0, Reach(2)),
    Row("p99", "60 ms", "the limit", "50 ms", 1.2, Reach(1, at_most=True), "the disk is slow"),
]


async def test_contenders_take_turns_and_each_begins_in_turn() -> None:
    """What the machine does meanwhile meets all alike."""
    order: list[str] = []

    async def run(name: str) -> float:
        order.append(name)
        return float(len(order))

    figures = await alternate({name: partial(run, name) for name in ("a", "b")}, 3)
    assert order == ["a", "b", "b", "a", "a", "b"]
    assert figures == {"a": [1.0, 4.0, 5.0], "b": [2.0, 3.0, 6.0]}


def test_a_ratio_is_the_median_of_the_rounds_ratios() -> None:
    """A round in which the machine was busy with something else does not count for more."""
    assert ratio([10, 20, 90], [10, 10, 10]) == 2
    assert ratio([10, 20, 30], [5, 10, 15]) == 2


@pytest.mark.parametrize(("bound", "at_most", "reached", "missed"), [(2, False, 2.0, 1.9), (1, True, 1.0, 1.1)])
def test_a_reach_has_a_direction(bound: float, reached: float, missed: float, *, at_most: bool) -> None:
    """At least so much of a rate, at most so much of a latency."""
    reach = Reach(bound, at_most=at_most)
    assert (reach.is_reached_by(reached), reach.is_reached_by(missed)) == (True, False)


def test_a_sample_belongs_to_its_innermost_known_package() -> None:
    """Whatever C library or standard module is further in; what belongs to none is the rest."""
    stacks = [
        "main (opora_intake/app.py:1);fetch (asyncpg/pool.py:3);send (libc.so.6) 30",
        "main (opora_intake/app.py:1);encode (json/encoder.py:9) 10",
        "start (libpython.so) 10",
        "_worker (concurrent/futures/thread.py:81);_queue_SimpleQueue_get (_queuemodule.c) 90",
    ]
    shares = shares_of(stacks)
    assert (shares["asyncpg"], shares["opora"], shares["rest"]) == (0.6, 0.2, 0.2)


def test_the_picture_shows_how_far_each_row_is_from_its_reach(tmp_path: Path) -> None:
    """In whichever direction it reaches; the same rows give the same picture; what has no reach is left out."""
    assert [round(margin(row.ratio, row.reach), 3) for row in ROWS if row.reach] == [1.5, 0.833]
    one, other = tmp_path / "one.svg", tmp_path / "other.svg"
    told = Row("a storm", "9/s", "a claim", "90/s", 0.1, None)
    write_plot(ROWS, one)
    write_plot([*ROWS, told], other)
    assert one.read_bytes() == other.read_bytes()
    assert one.read_text().count("relay drain") == 1


def test_a_duration_is_shown_in_its_unit_and_beside_its_limit() -> None:
    """Three digits say enough; the ratio is the share of the limit."""
    assert [duration(seconds) for seconds in (12.34, 0.000_5, 1.5e-6)] == ["12.3 s", "500 µs", "1.5 µs"]
    row = limited("a look", 0.002, 0.001)
    assert (row.figure, row.baseline, row.ratio, row.ok) == ("2 ms", "1 ms", 2, False)


def test_the_page_shows_what_was_missed_and_keeps_the_rest(tmp_path: Path) -> None:
    """Only the part between the marks is replaced; what has no reach is no miss; a page without marks is an error."""
    page = tmp_path / "performance.md"
    page.write_text(f"# Performance\n\n{BEGIN}\n\nold\n\n{END}\n\nafter\n")
    at = datetime(2026, 3, 1, tzinfo=UTC)
    write_page([*ROWS, Row("a storm", "9/s", "a claim", "90/s", 0.1, None)], at, page, "make bench")
    text = page.read_text()
    assert text.startswith("# Performance\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert "`make bench` of 2026-03-01: 3 comparisons, 1 missed." in text
    assert "| a storm | 9/s | a claim | 90/s | 0.10 x |  |  |" in text
    assert "| p99 | 60 ms | the limit | 50 ms | 1.20 x | ≤ 1 x | MISSED |" in text
    assert "* p99, against the limit: the disk is slow" in text
    assert "](performance.svg)" in text
    page.write_text("# Performance\n")
    with pytest.raises(ValueError, match="lacks the lines"):
        write_page(ROWS, at, page, "make bench")


def test_programs_get_the_same_rows() -> None:
    """Line by line, with whether the reach was reached."""
    rows = document(ROWS, datetime(2026, 3, 1, tzinfo=UTC))["rows"]
    assert [(row["line"], row["ratio"], row["ok"]) for row in rows] == [("relay drain", 3.0, True), ("p99", 1.2, False)]


@asynccontextmanager
async def running_server(answers: list[bytes]) -> AsyncIterator[str]:
    """Answers each request with the last of these statuses and with its own body; gives its address."""
    connections: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(asyncio.current_task())
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                body = await reader.readexactly(length)
                # In two parts, as it may come over a network.
                writer.write(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n" % (answers[-1], length))
                await writer.drain()
                writer.write(b"\r\n" + body)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    await asyncio.gather(*filter(None, connections))


async def test_the_client_counts_answers_and_fails_on_a_refusal() -> None:
    """Every request is answered before the next; what is no success ends the round."""
    asked = itertools.count()

    def next_request() -> bytes:
        next(asked)
        return post("/x", b'{"a":1}', {})

    answers = [b"201 Created"]
    async with running_server(answers) as address:
        load = await press([address], next_request, clients=2, seconds=0.3, warm_up_seconds=0)
        assert next(asked) * 0.5 <= load.per_second * 0.3 <= next(asked)
        assert 0 < load.p50_seconds <= load.p99_seconds
        answers.append(b"503 Service Unavailable")
        with pytest.raises(AssertionError, match="answered 503"):
            await press([address], next_request, clients=1, seconds=0.3, warm_up_seconds=0)


def test_the_client_works_in_the_loop_that_the_benches_run_in() -> None:
    """Its transports are of another class."""

    async def load() -> float:
        async with running_server([b"201 Created"]) as address:
            return (await press([address], partial(post, "/x", b"1", {}), clients=1, seconds=0.1)).per_second

    assert uvloop.run(load()) > 0


async def test_a_steady_load_keeps_its_rate_and_gives_every_answer() -> None:
    """As many requests as asked for, no faster than asked for; what is no success ends it."""
    numbers = itertools.count()
    bodies: list[bytes] = []
    answers = [b"201 Created"]
    load = partial(pour, next_request=lambda: post("/x", b"%03d" % next(numbers), {}), clients=3, per_second=200)
    async with running_server(answers) as address:
        assert 0 < await load(address, count=50, answered=bodies.append) < 205
        assert sorted(bodies) == [b"%03d" % number for number in range(50)]
        answers.append(b"503 Service Unavailable")
        with pytest.raises(ExceptionGroup) as failed:
            await load(address, count=2)
    assert failed.group_contains(AssertionError, match="answered 503")
