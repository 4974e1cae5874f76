"""A link between a client and a server, and what can be done to it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from opora_chassis.testing import wait_until
from opora_cli.chaos.links import Link
from opora_embedded.ports import find_free_port

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(slots=True)
class Echo:
    """A server that sends everything back, and tells how its connections ended."""

    port: int = 0
    heard: list[bytes] = field(default_factory=list)
    endings: list[str] = field(default_factory=list)
    server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen, after a stop at the same port."""
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", self.port)
        self.port = self.server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        """Listen no more."""
        assert self.server is not None
        self.server.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        try:
            while data := await reader.read(65_536):
                self.heard.append(data)
                writer.write(data)
                await writer.drain()
            writer.write(b"bye")
            self.endings.append("end")
        except ConnectionResetError:
            self.endings.append("reset")
        finally:
            writer.close()


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    """A server to talk to."""
    echo = Echo()
    await echo.start()
    yield echo
    echo.stop()


@pytest.fixture
async def link(echo: Echo) -> AsyncIterator[Link]:
    """A link to it."""
    link = Link("client>echo", target=("127.0.0.1", echo.port))
    await link.start()
    yield link
    await link.stop()


@pytest.fixture
async def streams(link: Link) -> AsyncIterator[Streams]:
    """A connection through the link that has carried something already."""
    reader, writer = await asyncio.open_connection("127.0.0.1", link.port)
    await say((reader, writer), b"first")
    yield reader, writer
    writer.close()


async def say(streams: Streams, data: bytes) -> None:
    """Send it and hear it come back."""
    reader, writer = streams
    writer.write(data)
    assert await asyncio.wait_for(reader.readexactly(len(data)), 20) == data


async def is_reset(streams: Streams) -> bool:
    try:
        rest = await asyncio.wait_for(streams[0].read(), 20)
    except ConnectionResetError:
        return True
    raise AssertionError(f"it ended gently after {rest!r}")


async def test_everything_passes_and_so_does_each_ends_farewell(link: Link, echo: Echo, streams: Streams) -> None:
    """Megabytes come back whole; who has said all can still hear the answer; nothing of the connection is left."""
    reader, writer = streams
    sent = bytes(range(256)) * 20_000
    writer.write(sent)
    assert await reader.readexactly(len(sent)) == sent
    writer.write_eof()
    assert await asyncio.wait_for(reader.read(), 20) == b"bye"
    writer.close()
    await wait_until(lambda: not link._present)
    assert echo.endings == ["end"]
    assert (link.state, link.connections, link.cuts, link.triggered) == ("pass_through", 1, 0, 0)


async def test_a_cut_resets_both_ends_and_leaves_the_next_connection_alone(
    link: Link, echo: Echo, streams: Streams
) -> None:
    """Client and server see a reset, not an end."""
    link.cut()
    assert await is_reset(streams)
    await wait_until(lambda: echo.endings == ["reset"])
    other = await asyncio.open_connection("127.0.0.1", link.port)
    await say(other, b"second")
    other[1].close()
    assert (link.cuts, link.connections) == (1, 2)


async def test_connections_are_cut_again_and_again_until_it_is_switched_off(link: Link, streams: Streams) -> None:
    """Present connections at once, later ones at the next turn; after the switch none."""
    link.cut_every(0.05)
    assert await is_reset(streams)
    second = await asyncio.open_connection("127.0.0.1", link.port)
    assert await is_reset(second)
    second[1].close()
    link.pass_through()
    assert link.cuts == 2
    assert link._next_cut is None


async def test_a_refusing_link_lets_nobody_in(link: Link, echo: Echo, streams: Streams) -> None:
    """Who is connected is cut, who comes is turned away without reaching the server, until it is switched off."""
    link.refuse()
    assert await is_reset(streams)
    refused = await asyncio.open_connection("127.0.0.1", link.port)
    assert await is_reset(refused)
    link.pass_through()
    welcome = await asyncio.open_connection("127.0.0.1", link.port)
    await say(welcome, b"again")
    for _, writer in (refused, welcome):
        writer.close()
    assert echo.heard == [b"first", b"again"]
    assert (link.connections, link.cuts) == (2, 1)


async def test_a_server_that_is_down_looks_down(link: Link, echo: Echo) -> None:
    """Without a server, and without a target, a connection is reset; once the server is there, the link works."""
    echo.stop()
    down = await asyncio.open_connection("127.0.0.1", link.port)
    assert await is_reset(down)
    link.target = None
    nowhere = await asyncio.open_connection("127.0.0.1", link.port)
    assert await is_reset(nowhere)
    await echo.start()
    link.target = ("127.0.0.1", echo.port)
    up = await asyncio.open_connection("127.0.0.1", link.port)
    await say(up, b"up")
    for _, writer in (down, nowhere, up):
        writer.close()


async def test_a_server_that_resets_resets_its_client(link: Link, echo: Echo, streams: Streams) -> None:
    """What one end does to the connection, the other end sees."""
    second = Link("echo>client", target=("127.0.0.1", link.port))
    await second.start()
    through_two = await asyncio.open_connection("127.0.0.1", second.port)
    await say(through_two, b"both")
    link.cut()
    assert await is_reset(through_two)
    assert await is_reset(streams)
    through_two[1].close()
    await second.stop()


async def test_bytes_upwards_vanish(link: Link, echo: Echo, streams: Streams) -> None:
    """The server hears neither bytes nor the client's end; new connections fare alike; healing cuts what lost bytes."""
    reader, writer = streams
    link.black_hole("up")
    writer.write(b"lost")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1), 0.2)
    second = await asyncio.open_connection("127.0.0.1", link.port)
    second[1].write(b"lost too")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(second[0].read(1), 0.2)
    second[1].close()
    await second[1].wait_closed()
    assert echo.endings == []
    link.pass_through()
    assert await is_reset(streams)
    await wait_until(lambda: echo.endings == ["reset", "reset"])
    assert echo.heard == [b"first"]


async def test_bytes_downwards_vanish(link: Link, echo: Echo, streams: Streams) -> None:
    """The server hears and answers, the client hears nothing, not even that the server has gone."""
    reader, writer = streams
    link.black_hole("down")
    writer.write(b"heard")
    await wait_until(lambda: echo.heard == [b"first", b"heard"])
    writer.write_eof()
    await wait_until(lambda: echo.endings == ["end"])
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1), 0.2)
    link.pass_through()
    assert await is_reset(streams)


async def test_a_connection_that_lost_nothing_outlives_a_black_hole(link: Link, streams: Streams) -> None:
    """Only a stream with a hole in it is cut."""
    link.black_hole("up")
    link.pass_through()
    await say(streams, b"second")
    assert link.cuts == 0


async def test_a_slow_link_delays_slices_and_keeps_their_order(link: Link, echo: Echo, streams: Streams) -> None:
    """Bytes come late and in threes, in order even when the link is switched back meanwhile."""
    reader, writer = streams
    link.slow(0.1, 3)
    began = asyncio.get_running_loop().time()
    await say(streams, b"slowly")
    assert asyncio.get_running_loop().time() - began >= 0.2
    assert [len(heard) for heard in echo.heard] == [5, 3, 3]
    writer.write(b"a" * 1_000)
    await wait_until(lambda: any(connection.server._slowly for connection in link._present))
    link.pass_through()
    writer.write(b"b" * 1_000)
    assert await reader.readexactly(2_000) == b"a" * 1_000 + b"b" * 1_000


async def test_a_client_that_does_not_read_holds_the_server_up(link: Link, streams: Streams) -> None:
    """The link keeps little in memory: it reads no more than it can pass on."""
    reader, writer = streams
    writer.write(b"x" * 30_000_000)
    (connection,) = link._present
    transport = connection.server._transport
    assert transport is not None
    await wait_until(lambda: not transport.is_reading())
    assert len(await reader.readexactly(30_000_000)) == 30_000_000
    await wait_until(transport.is_reading)


async def test_a_stopped_link_comes_back_at_its_port(link: Link, streams: Streams) -> None:
    """Nobody is let in between, whoever is connected is cut, and the behaviour is the usual one again."""
    port = link.port
    link.black_hole("down")
    await link.stop()
    assert await is_reset(streams)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    await link.start()
    again = await asyncio.open_connection("127.0.0.1", port)
    await say(again, b"again")
    again[1].close()
    assert (link.port, link.state) == (port, "pass_through")


async def test_a_link_takes_the_port_that_it_is_given_and_knows_no_other_before() -> None:
    """A given port is its port; without one there is none before the start."""
    port = find_free_port()
    assert Link("a", port).port == port
    with pytest.raises(RuntimeError, match="was not started"):
        _ = Link("b").port


def test_a_trigger_belongs_to_its_protocol() -> None:
    """A link that cannot know of the deed says so at once."""
    with pytest.raises(ValueError, match="cannot know of commit"):
        Link("sla>kafka", protocol="kafka").cut_after("commit")
    with pytest.raises(ValueError, match="cannot know of produce"):
        Link("sla>kafka").cut_after("produce")
    with pytest.raises(ValueError, match="not 'webhook'"):
        Link("notify>webhook", protocol="webhook")
