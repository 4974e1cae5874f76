"""When the doctor calls something wrong, and that it asks every replica behind a name."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from opora_cli.doctor import processes
from opora_cli.doctor.diagnosis import (
    Diagnosis,
    Reading,
    judge_consumption,
    judge_disk,
    judge_history,
    judge_letters,
    judge_marks,
    judge_outbox,
    judge_skew,
)
from opora_cli.doctor.processes import addresses_of, examine_process

NOON = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


def reading(committed: dict[int, int], ends: dict[int, int], *, members: int = 1, begin: int = 0) -> Reading:
    return Reading(committed=committed, begins=dict.fromkeys(ends, begin), ends=ends, members=members)


def consumption(before: Reading, after: Reading) -> Diagnosis:
    return judge_consumption("sla", "opora.tickets", before, after, 3.0)


def test_a_consumer_that_keeps_up_is_well() -> None:
    """No lag, or a lag that shrinks, however long, is no finding; the rate is told."""
    assert not consumption(reading({0: 5}, {0: 5}), reading({0: 5}, {0: 5})).problem
    shrinking = consumption(reading({0: 0}, {0: 90_000}), reading({0: 30_000}, {0: 90_100}))
    assert not shrinking.problem
    assert shrinking.measured == "60100 records behind, 10000 a second handled, 1 processes"


def test_a_consumer_that_stands_still_is_found() -> None:
    """The same record waits at both looks and nothing was acknowledged in between; what came later proves nothing."""
    still = consumption(reading({0: 4, 1: 9}, {0: 5, 1: 9}), reading({0: 4, 1: 9}, {0: 7, 1: 9}))
    assert still.problem == "it stands still: nothing was handled for 3 s"
    assert still.next_command == "opora status"
    assert not consumption(reading({0: 5}, {0: 5}), reading({0: 5}, {0: 6})).problem
    never = consumption(reading({}, {0: 2}), reading({}, {0: 2}))
    assert "stands still" in never.problem


def test_a_consumer_that_falls_behind_is_found() -> None:
    """More than 5,000 records that do not become fewer, though the consumer works."""
    behind = consumption(reading({0: 1_000}, {0: 6_000}), reading({0: 1_100}, {0: 6_200}))
    assert behind.problem.startswith("it falls behind")
    assert not consumption(reading({0: 1_000}, {0: 5_000}), reading({0: 1_100}, {0: 5_600})).problem


def test_a_topic_that_nobody_consumes_is_found() -> None:
    """A group without members is one, also where nothing waits yet."""
    assert consumption(reading({0: 5}, {0: 5}), reading({0: 5}, {0: 5}, members=0)).problem == "no process consumes it"


def test_a_position_behind_the_end_is_found() -> None:
    """Who has acknowledged what the broker does not have talks to another broker than before."""
    lost = consumption(reading({0: 9}, {0: 2}), reading({0: 9}, {0: 2}))
    assert "acknowledged 7 records that the broker does not have" in lost.problem
    assert "docs/operations/disaster.md" in lost.problem


def test_records_that_were_dropped_are_no_lag() -> None:
    """What the topic no longer keeps cannot be consumed: lag counts from the topic's beginning."""
    assert reading({}, {0: 50}, begin=50).lags == {}
    assert reading({0: 10}, {0: 60}, begin=50).lags == {0: 10}


def test_an_outbox_is_stuck_without_relay_or_after_ten_seconds() -> None:
    """Many facts are fine while they leave; one that stays, or nobody to send it, is not."""
    assert not judge_outbox("intake", 40_000, 0.4, 4).problem
    assert "stuck" in judge_outbox("intake", 1, 10.5, 4).problem
    assert "no relay is at work" in judge_outbox("intake", 0, 0.0, 0).problem


def test_a_dead_letter_is_found_with_its_service() -> None:
    """The next command lists the letters of that service."""
    assert not judge_letters("sla", 0, 0).problem
    assert judge_letters("sla", 1, 1).next_command == "opora dead-letters list --service sla"


def test_clocks_may_differ_by_a_second() -> None:
    """Either way."""
    assert not judge_skew("sla", -0.9).problem
    assert judge_skew("sla", 1.1).next_command == "timedatectl status"
    assert judge_skew("sla", -1.1).problem


def test_a_disk_is_short_below_two_gigabytes_or_a_twentieth() -> None:
    """Whichever is more."""
    assert not judge_disk("/data", 2_100_000_000, 10_000_000_000).problem
    assert judge_disk("/data", 1_900_000_000, 10_000_000_000).next_command == "df -h"
    assert judge_disk("/data", 49_000_000_000, 1_000_000_000_000).problem


def test_watermarks_must_move_in_every_partition() -> None:
    """One that stands still is found, with the side that is to blame."""
    later = NOON + timedelta(seconds=3)
    assert not judge_marks({0: NOON, 1: NOON}, {0: later, 1: later}, 24, 3.0).problem
    assert "sla does not follow" in judge_marks({0: NOON, 1: NOON}, {0: later, 1: NOON}, 24, 3.0).problem
    assert "publishes no marks" in judge_marks({0: NOON}, {0: NOON}, 0, 3.0).problem
    assert judge_marks({}, {}, 0, 3.0).problem


def test_an_owner_that_forgot_its_facts_is_found() -> None:
    """One unknown fact is enough: a database does not forget by itself."""
    assert not judge_history("opora.sla", "sla", 600, 0).problem
    assert "older than its log" in judge_history("opora.sla", "sla", 600, 1).problem


class _Process(BaseHTTPRequestHandler):
    """A process of a service, as far as the doctor looks."""

    ready = True
    blown = False

    def do_GET(self) -> None:
        if self.path == "/metrics":
            body = f'opora_consumer_fuse_blown{{service="sla",topic="opora.tickets"}} {float(self.blown)}\n'
        else:
            body = '{"checks": [{"name": "database", "ok": %s, "detail": "gone"}]}' % str(self.ready).lower()  # noqa: UP031
        self.send_response(200 if self.ready or self.path == "/metrics" else 503)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing."""


@pytest.fixture
def two_replicas() -> Iterator[int]:
    """Two processes on one port of two addresses: the first is ready, the second has lost its database and its fuse."""
    with ExitStack() as cleanup:
        port = 0
        for address, ready in (("127.0.0.1", True), ("127.0.0.2", False)):
            handler = type("Handler", (_Process,), {"ready": ready, "blown": not ready})
            server = cleanup.enter_context(ThreadingHTTPServer((address, port), handler))
            port = server.server_port
            Thread(target=server.serve_forever, daemon=True).start()
            cleanup.callback(server.shutdown)
        yield port


async def test_every_replica_behind_a_name_is_asked(two_replicas: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a name stands for several addresses each is examined, and named by its address."""

    async def both(_url: str) -> list[str]:
        return ["127.0.0.1", "127.0.0.2"]

    monkeypatch.setattr(processes, "addresses_of", both)
    found = await examine_process("sla", "sla-consume", f"http://sla-consume:{two_replicas}", "opora status")
    assert [(one.subject, bool(one.problem)) for one in found] == [
        ("sla-consume at 127.0.0.1: health", False),
        ("sla-consume at 127.0.0.2: fuse of opora.tickets", True),
        ("sla-consume at 127.0.0.2: health", True),
    ]
    assert found[1].next_command == "opora dead-letters list --service sla"
    assert found[2].problem == "database: gone"


async def test_a_name_gives_all_its_addresses() -> None:
    """As the resolver has them, each once."""
    assert await addresses_of("http://127.0.0.1:8080") == ["127.0.0.1"]
    known = {info[4][0] for info in socket.getaddrinfo("localhost", 80, type=socket.SOCK_STREAM)}
    assert set(await addresses_of("http://localhost:80")) == known


async def test_a_name_without_address_is_a_process_that_is_not_there() -> None:
    """A service that was scaled to nothing."""
    (found,) = await examine_process("sla", "sla-consume", "http://sla-consume.invalid:8080", "opora status")
    assert found.measured == "not there"
    assert found.problem.startswith("no process has this name")


async def test_a_port_without_process_does_not_answer() -> None:
    """The next command leads to its log."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        (found,) = await examine_process("sla", "sla", f"http://127.0.0.1:{port}", "tail logs/sla.log")
    assert "does not answer" in found.problem
    assert found.next_command == "tail logs/sla.log"
