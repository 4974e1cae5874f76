"""A client that costs little: HTTP/1.1, one request at a time on connections kept as long as the server keeps them."""

import asyncio
import statistics
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import urlsplit

_ANSWER_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Load:
    """What a load came to."""

    per_second: float
    p50_seconds: float
    p99_seconds: float


@dataclass(slots=True)
class _Client(asyncio.Protocol):
    """One connection. Knows just enough of HTTP for answers with a Content-Length."""

    transport: asyncio.Transport | None = None
    closing: bool = False
    """Whether the server said that it closes the connection after this answer."""
    body: bytes = b""
    """Of the last answer."""
    _received: bytearray = field(default_factory=bytearray)
    _answered: asyncio.Future[int] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is one by its methods alone

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0 or self._answered is None:
            return
        head = bytes(self._received[:end]).lower()
        at = head.index(b"content-length:") + len(b"content-length:")
        length = int(head[at:].split(b"\r\n", 1)[0])
        if len(self._received) >= end + 4 + length:
            answered, self._answered = self._answered, None
            status = int(head[9:12])
            self.closing = b"\r\nconnection: close" in head
            self.body = bytes(self._received[end + 4 : end + 4 + length])
            self._received.clear()
            answered.set_result(status)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(exc or ConnectionError("the server closed the connection"))

    async def ask(self, request: bytes) -> int:
        assert self.transport is not None
        self._answered = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self._answered


Requests = Callable[[], bytes]
"""Gives the next request, head and body, each time another."""


def post(path: str, body: bytes, headers: dict[str, str]) -> bytes:
    """A POST of JSON as it goes over the wire."""
    lines = [f"POST {path} HTTP/1.1", "Host: bench", "Content-Type: application/json", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def press(
    addresses: Sequence[str], next_request: Requests, *, clients: int, seconds: float, warm_up_seconds: float = 0.5
) -> Load:
    """Let each of `clients` ask as fast as it is answered. Raises AssertionError for an answer that is no success."""
    async with asyncio.timeout(seconds + warm_up_seconds + _ANSWER_SECONDS):
        connections = [await _connect(addresses[number % len(addresses)]) for number in range(clients)]
        counted_from = time.perf_counter() + warm_up_seconds
        until = counted_from + seconds
        latencies: list[float] = []

        async def use(number: int) -> None:
            while (began := time.perf_counter()) < until:
                if connections[number].closing:
                    connections[number] = await _connect(addresses[number % len(addresses)])
                status = await connections[number].ask(next_request())
                assert 200 <= status < 300, f"answered {status}"
                ended = time.perf_counter()
                if began >= counted_from and ended <= until:
                    latencies.append(ended - began)

        try:
            await asyncio.gather(*(use(number) for number in range(clients)))
        finally:
            for client in connections:
                if client.transport is not None:
                    client.transport.abort()
    quantiles = statistics.quantiles(latencies, n=100)
    return Load(len(latencies) / seconds, quantiles[49], quantiles[98])


async def pour(
    address: str,
    next_request: Requests,
    *,
    clients: int,
    per_second: int,
    count: int,
    answered: Callable[[bytes], None] = lambda _body: None,
) -> float:
    """Ask `count` times at a steady rate, however long the answers take; returns the rate that was come to.

    `answered` is given the body of each answer. While all `clients` wait for theirs nothing is asked; what is late then
    is asked at once. Raises an ExceptionGroup with an AssertionError for an answer that is no success, and with a
    TimeoutError for one that does not come.
    """
    connections = [await _connect(address) for _ in range(clients)]
    free = deque(connections)
    freed = asyncio.Event()

    async def ask(client: _Client) -> None:
        if client.closing:
            client = await _connect(address)
            connections.append(client)
        async with asyncio.timeout(_ANSWER_SECONDS):
            status = await client.ask(next_request())
        assert 200 <= status < 300, f"answered {status}"
        answered(client.body)
        free.append(client)
        freed.set()

    began = time.perf_counter()
    try:
        async with asyncio.TaskGroup() as group:
            for number in range(count):
                if (early := began + number / per_second - time.perf_counter()) > 0:
                    await asyncio.sleep(early)
                while not free:
                    freed.clear()
                    await freed.wait()
                group.create_task(ask(free.popleft()))
    finally:
        for client in connections:
            if client.transport is not None:
                client.transport.abort()
    return count / (time.perf_counter() - began)


async def _connect(address: str) -> _Client:
    parts = urlsplit(address)
    _, client = await asyncio.get_running_loop().create_connection(_Client, parts.hostname or "", parts.port or 0)
    return client
