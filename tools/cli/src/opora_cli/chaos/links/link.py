"""A link between one client and one server."""

import asyncio

from opora_cli.chaos.links.behaviour import Behaviour, Direction, Trigger
from opora_cli.chaos.links.connection import Connection, Side
from opora_cli.chaos.links.dialogue import DIALOGUES
from opora_cli.chaos.links.listening import listen


class Link:
    """A TCP proxy on 127.0.0.1 whose behaviour may be switched at any time, for present and new connections alike.

    It lives in the event loop in which it is started; its methods must be called there. While `target` is None or does
    not answer, a connection is accepted and at once ended by RST: TCP lets no program refuse what it listens to.
    With a `protocol` (`postgres`, `kafka`, `smtp`) it reads along, so that `cut_after` knows what a server has done.
    """

    def __init__(
        self,
        name: str,
        listen_port: int | None = None,
        target: tuple[str, int] | None = None,
        *,
        protocol: str | None = None,
    ) -> None:
        if protocol is not None and protocol not in DIALOGUES:
            raise ValueError(f"a link reads {', '.join(DIALOGUES)}, not {protocol!r}")
        self.name = name
        self.target = target
        self.protocol = protocol
        self.behaviour = Behaviour()
        self.connections = 0
        """How many were accepted so far; refused ones do not count."""
        self.cuts = 0
        """How many of them were ended by the link."""
        self.triggered = 0
        """How many of those because of a trigger."""
        self._port = listen_port
        self._server: asyncio.Server | None = None
        self._present: set[Connection] = set()
        self._next_cut: asyncio.TimerHandle | None = None
        self._occurrences = 0

    @property
    def port(self) -> int:
        """Where clients connect; fixed from the first start. Raises RuntimeError before that, unless it was given."""
        if self._port is None:
            raise RuntimeError(f"the link {self.name} was not started yet")
        return self._port

    @property
    def state(self) -> str:
        """Which behaviour it has: the name of the method that switched to it."""
        return self.behaviour.state

    async def start(self) -> None:
        """Listen. Raises OSError when its port is taken."""
        listener = listen(self._port)
        self._port = listener.getsockname()[1]
        self._server = await asyncio.get_running_loop().create_server(self._accept, sock=listener)

    async def stop(self) -> None:
        """Cut every connection, whatever the behaviour, and stop listening; returns when all sockets are closed."""
        if self._server is None:
            return
        self._switch(Behaviour())
        self._server.close()
        self._server = None
        while self._present:
            self.cut()
            await asyncio.sleep(0)  # a socket is closed in the turn after its end

    def pass_through(self) -> None:
        """Pass everything, at once. Connections that have lost bytes to a black hole are cut."""
        self._switch(Behaviour())

    def cut(self) -> None:
        """End all present connections with RST; the behaviour stays as it is."""
        self._cut(list(self._present))

    def _cut(self, connections: list[Connection]) -> None:
        for connection in connections:
            if not connection.is_cut:
                self.cuts += 1
                connection.cut()

    def cut_every(self, seconds: float) -> None:
        """Cut now, and again each time after so many seconds."""
        self._switch(Behaviour("cut_every"))
        self._cut_again(seconds)

    def refuse(self) -> None:
        """Cut, and end each new connection at once."""
        self._switch(Behaviour("refuse"))
        self.cut()

    def black_hole(self, direction: Direction) -> None:
        """Bytes of one direction vanish, and so do FIN and RST: connections stay half-open."""
        self._switch(Behaviour("black_hole", swallowed=direction))

    def slow(self, latency_seconds: float, slice_bytes: int = 0) -> None:
        """Hold each chunk back for a while, and write it in slices; 0 leaves it whole."""
        self._switch(Behaviour("slow", latency_seconds=latency_seconds, slice_bytes=slice_bytes))

    def cut_after(self, trigger: Trigger | str, every: int = 1) -> None:
        """Cut a connection after the server has done something and before the client hears of it.

        That is: its answer has arrived here and goes no further. With `every` at each so-manyth occurrence, counted
        over all connections from now on. Raises ValueError for a trigger that is none of the link's protocol.
        """
        wanted = Trigger(trigger)
        if self.protocol is None or DIALOGUES[self.protocol].trigger != wanted:
            raise ValueError(f"the link {self.name} ({self.protocol or 'any protocol'}) cannot know of {wanted}")
        self._occurrences = 0
        self._switch(Behaviour("cut_after", trigger=wanted, every=every))

    def _switch(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        if self._next_cut is not None:
            self._next_cut.cancel()
            self._next_cut = None
        self._cut([connection for connection in self._present if connection.holed])

    def _cut_again(self, seconds: float) -> None:
        self.cut()
        self._next_cut = asyncio.get_running_loop().call_later(seconds, self._cut_again, seconds)

    def _accept(self) -> Side:
        connection = Connection(self, None if self.protocol is None else DIALOGUES[self.protocol].reader())
        self._present.add(connection)
        if self._server is None or self.behaviour.state == "refuse":
            connection.is_cut = True
        else:
            self.connections += 1
            connection.connecting = asyncio.create_task(self._connect(connection))
        return connection.client

    async def _connect(self, connection: Connection) -> None:
        try:
            if self.target is None:
                raise ConnectionRefusedError
            await asyncio.get_running_loop().create_connection(lambda: connection.server, *self.target)
        except OSError:
            connection.cut()
        else:
            connection.client.resume()

    def count_deed(self) -> bool:
        """The answer to a deed has arrived. True when the client must not hear of it."""
        if self.behaviour.trigger is None:
            return False
        self._occurrences += 1
        if self._occurrences % self.behaviour.every:
            return False
        self.triggered += 1
        self.cuts += 1
        return True

    def forget(self, connection: Connection) -> None:
        """Both sockets of a connection are closed."""
        self._present.discard(connection)
