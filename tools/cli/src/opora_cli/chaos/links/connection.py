"""One client's connection through a link: two sockets, and the bytes between them."""

import asyncio
import socket
import struct
from contextlib import suppress
from typing import Protocol, cast

from opora_cli.chaos.links.behaviour import Behaviour, Direction
from opora_cli.chaos.links.dialogue import Dialogue

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_TURNS_TO_READ = 2
"""Of the event loop, after which a reader in the same loop has read a slice before there is another."""


class Owner(Protocol):
    """The link that a connection belongs to."""

    behaviour: Behaviour

    def count_deed(self) -> bool:
        """The answer to a deed has arrived. True when the client must not hear of it."""

    def forget(self, connection: "Connection") -> None:
        """Both sockets are closed."""


class Connection:
    """Passes bytes, and each side's end, on to the other side, as the link behaves at that moment.

    Order is kept within a direction, over every change of behaviour. A stream that has lost bytes to a black hole is
    `holed` and must never be continued, as TCP would never continue it: who ends the black hole cuts it.
    """

    def __init__(self, owner: Owner, dialogue: Dialogue | None) -> None:
        self.client = Side(self, "up")
        self.server = Side(self, "down")
        self.holed = False
        self.is_cut = False
        self.connecting: asyncio.Task[None] | None = None
        self._owner = owner
        self._dialogue = dialogue

    @property
    def behaviour(self) -> Behaviour:
        """The link's, now."""
        return self._owner.behaviour

    def opposite(self, side: "Side") -> "Side":
        """The other side."""
        return self.server if side is self.client else self.client

    def receive(self, side: "Side", data: bytes) -> None:
        """A side has sent something."""
        if self.behaviour.swallowed == side.direction:
            self.holed = True
        elif self._dialogue is None:
            self.opposite(side).send(data)
        elif side is self.client:
            self._dialogue.up(data)
            self.server.send(data)
        else:
            self._pass_answers(self._dialogue.down(data), data)

    def _pass_answers(self, deeds: list[int], data: bytes) -> None:
        for begin in deeds:
            if self._owner.count_deed():
                self.client.send(data[:begin])
                self.cut()
                return
        self.client.send(data)

    def end(self, side: "Side") -> None:
        """A side will send no more; it may still be told something."""
        if self.behaviour.swallowed == side.direction:
            self.holed = True
            return
        other = self.opposite(side)
        other.send_end()
        if other.has_ended:
            side.close()
            other.close()

    def lose(self, side: "Side", error: Exception | None) -> None:
        """A side's socket is closed: by us, or, with an error, by the other end."""
        other = self.opposite(side)
        if error is not None and self.behaviour.swallowed == side.direction:
            self.holed = True
        elif error is not None:
            other.reset()
        if not other.is_open:
            self._owner.forget(self)

    def cut(self) -> None:
        """RST to both ends, at once; what was on its way is lost."""
        self.is_cut = True
        if self.connecting is not None:
            self.connecting.cancel()
        self.client.reset()
        self.server.reset()


class Side(asyncio.Protocol):
    """The socket to one end. `direction` is the one of the bytes that this end sends."""

    def __init__(self, connection: Connection, direction: Direction) -> None:
        self.direction: Direction = direction
        self.has_ended = False
        self._connection = connection
        self._transport: asyncio.Transport | None = None
        self._slowly: asyncio.Task[None] | None = None
        self._is_full = False

    @property
    def is_open(self) -> bool:
        """Whether there is a socket."""
        return self._transport is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """There is a socket."""
        self._transport = cast("asyncio.Transport", transport)
        if self._connection.is_cut:
            self.reset()
        elif self.direction == "up":
            self.pause()  # until there is a server to send to

    def data_received(self, data: bytes) -> None:
        """Its end has sent something."""
        self._connection.receive(self, data)

    def eof_received(self) -> bool:
        """Its end will send no more. The socket stays open for the other direction."""
        self.has_ended = True
        self._connection.end(self)
        return True

    def connection_lost(self, error: Exception | None) -> None:
        """The socket is closed."""
        self._transport = None
        self._connection.lose(self, error)

    def pause_writing(self) -> None:
        """Its end reads too slowly: the other one has to wait."""
        self._is_full = True
        self._connection.opposite(self).pause()

    def resume_writing(self) -> None:
        """Its end has caught up."""
        self._is_full = False
        self._let_other_go_on()

    def send(self, data: bytes) -> None:
        """Pass bytes on to its end; at once unless the link is slow."""
        if self._transport is None:
            return
        if self._connection.behaviour.state == "slow":
            # Nothing more is read from the other end meanwhile, so nothing can overtake these bytes.
            self._connection.opposite(self).pause()
            self._slowly = asyncio.create_task(self._send_slowly(data))
        else:
            self._transport.write(data)

    async def _send_slowly(self, data: bytes) -> None:
        await asyncio.sleep(self._connection.behaviour.latency_seconds)
        size = self._connection.behaviour.slice_bytes or len(data)
        for start in range(0, len(data), size):
            if self._transport is None:
                return
            self._transport.write(data[start : start + size])
            for _ in range(_TURNS_TO_READ):
                await asyncio.sleep(0)
        self._slowly = None
        self._let_other_go_on()

    def _let_other_go_on(self) -> None:
        if not self._is_full and self._slowly is None:
            self._connection.opposite(self).resume()

    def send_end(self) -> None:
        """Tell its end that no more will come."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write_eof()

    def pause(self) -> None:
        """Read nothing from its end for now."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def close(self) -> None:
        """Close the socket when everything is written."""
        if self._transport is not None:
            self._transport.close()

    def reset(self) -> None:
        """RST to its end, at once."""
        if self._slowly is not None:
            self._slowly.cancel()
        if self._transport is not None:
            with suppress(OSError):
                raw: socket.socket = self._transport.get_extra_info("socket")
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self._transport.abort()
