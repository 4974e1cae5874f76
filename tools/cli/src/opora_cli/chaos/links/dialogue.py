"""Reading along in a connection, to cut it between a deed of the server and the client's hearing of it. Pure.

A dialogue sees every byte of both directions from the connection's beginning, in chunks that may end anywhere.
"""

import struct
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from opora_cli.chaos.links.behaviour import Trigger


class Dialogue(Protocol):
    """One connection of one protocol."""

    def up(self, data: bytes) -> None:
        """The client says this."""

    def down(self, data: bytes) -> list[int]:
        """The server says this. Where in it the answers begin that end in it and tell of a deed.

        An answer that began in an earlier chunk counts from 0. A deed is known when its whole answer is.
        """


class Frames:
    """Splits a stream into frames that carry their length.

    The length is a big-endian int32 at `length_at`, and counts all but `beyond` bytes of the frame. With a length that
    cannot be, the stream is none of ours (encrypted, say), and no frame is found in it any more.
    """

    def __init__(self, *, head_bytes: int, length_at: int, beyond: int) -> None:
        self._head_bytes = head_bytes
        self._length = struct.Struct(f">{length_at}xi")
        self._beyond = beyond
        self._head = b""
        self._rest = 0
        self._unreadable = False

    def feed(self, data: bytes, start: int = 0) -> Iterator[tuple[int, bytes, int]]:
        """Each frame whose head becomes known with this chunk: where it begins (0 when earlier), head, where it ends.

        The end may lie beyond the chunk.
        """
        position = start
        while not self._unreadable:
            if self._rest:
                passed = min(self._rest, len(data) - position)
                self._rest -= passed
                position += passed
            if position >= len(data):
                return
            missing = self._head_bytes - len(self._head)
            begin = position
            self._head += data[position : position + missing]
            position = min(position + missing, len(data))
            if len(self._head) < self._head_bytes:
                return
            head, self._head = self._head, b""
            self._rest = self._length.unpack_from(head)[0] + self._beyond - self._head_bytes
            if self._rest < 0:
                self._unreadable = True
                return
            yield begin, head, position + self._rest


class PostgresDialogue:
    """Version 3 of PostgreSQL's protocol; the deed is a COMMIT, as a simple query or a prepared statement.

    Each simple query and each Sync is answered by one ReadyForQuery: the answer to a COMMIT ends with the one whose
    number it has. Nothing is found in an encrypted connection.
    """

    def __init__(self) -> None:
        self._asked = bytearray()
        self._started = False
        self._encryption_asked = False
        self._unreadable = False
        self._commit_statements: set[bytes] = set()
        self._commit_bound = False
        self._answers = Frames(head_bytes=5, length_at=1, beyond=1)
        self._skip = 0
        self._wanted = 0
        self._ready = 0
        self._commits: deque[int] = deque()

    def up(self, data: bytes) -> None:
        """The client says this."""
        if self._unreadable:
            return
        if self._skip:
            passed = min(self._skip, len(data))
            self._skip -= passed
            data = data[passed:]
        self._asked += data
        while message := self._next_message():
            self._hear(*message)

    def _next_message(self) -> tuple[bytes, bytes] | None:
        """Kind and beginning of the body of the client's next message, once enough of it is there."""
        kind_bytes = 1 if self._started else 0
        if len(self._asked) < kind_bytes + 4:
            return None
        length = int.from_bytes(self._asked[kind_bytes : kind_bytes + 4], "big") + kind_bytes
        if length < kind_bytes + 4:
            self._unreadable = True
            return None
        looked_at = min(length, _LOOKED_AT_BYTES)
        if len(self._asked) < looked_at:
            return None
        kind = bytes(self._asked[:kind_bytes])
        body = bytes(self._asked[kind_bytes + 4 : looked_at])
        self._skip = max(0, length - len(self._asked))
        del self._asked[:length]
        return kind, body

    def _hear(self, kind: bytes, body: bytes) -> None:
        if not self._started:
            self._hear_beginning(body)
        elif kind in b"QF":
            self._wanted += 1
            if _is_commit(body):
                self._commits.append(self._wanted)
        elif kind == b"P":
            name, _, query = body.partition(b"\0")
            self._commit_statements.discard(name)
            if _is_commit(query.partition(b"\0")[0]):
                self._commit_statements.add(name)
        elif kind == b"B":
            _, statement, *_ = body.split(b"\0", 2)
            self._commit_bound |= statement in self._commit_statements
        elif kind == b"S":
            self._wanted += 1
            if self._commit_bound:
                self._commits.append(self._wanted)
                self._commit_bound = False

    def _hear_beginning(self, body: bytes) -> None:
        if body[:4] in _ENCRYPTION_REQUESTS:
            self._encryption_asked = True
        else:
            self._started = True
            self._wanted += 1

    def down(self, data: bytes) -> list[int]:
        """The server says this."""
        start = 0
        if self._encryption_asked and data:
            self._encryption_asked = False
            self._unreadable = data[:1] != b"N"
            start = 1
        if self._unreadable:
            return []
        told: list[int] = []
        begin = start
        for _, head, end in self._answers.feed(data, start):
            if head[0] == _READY_FOR_QUERY:
                self._ready += 1
                if self._commits and self._commits[0] == self._ready:
                    self._commits.popleft()
                    told.append(begin)
                begin = end
        return told


_LOOKED_AT_BYTES = 256
"""A COMMIT is shorter, with any name that a driver gives to its statement."""
_READY_FOR_QUERY = ord("Z")
_ENCRYPTION_REQUESTS = frozenset(struct.pack(">i", 80_877_100 + code) for code in (3, 4))
"""SSLRequest and GSSENCRequest, which are answered with one byte."""


def _is_commit(query: bytes) -> bool:
    return query.rstrip(b"\0 ;\r\n").strip().upper() == b"COMMIT"


class KafkaDialogue:
    """Kafka's protocol, whose requests and answers are matched by a number; the deed is a produce request."""

    def __init__(self) -> None:
        self._requests = Frames(head_bytes=12, length_at=0, beyond=4)
        self._answers = Frames(head_bytes=8, length_at=0, beyond=4)
        self._produced: set[int] = set()

    def up(self, data: bytes) -> None:
        """The client says this."""
        for _, head, _ in self._requests.feed(data):
            api, correlation_id = _KAFKA_REQUEST.unpack(head)
            if api == _PRODUCE:
                self._produced.add(correlation_id)

    def down(self, data: bytes) -> list[int]:
        """The server says this."""
        told: list[int] = []
        for begin, head, _ in self._answers.feed(data):
            correlation_id = int.from_bytes(head[4:], "big", signed=True)
            if correlation_id in self._produced:
                self._produced.remove(correlation_id)
                told.append(begin)
        return told


_KAFKA_REQUEST = struct.Struct(">4xh2xi")
_PRODUCE = 0


class SmtpDialogue:
    """SMTP in the clear; the deed is the acceptance of a letter, after the dot that ends it."""

    def __init__(self) -> None:
        self._command = b""
        self._data_asked = False
        self._tail: bytes | None = None
        self._dots = 0
        self._answer = b""

    def up(self, data: bytes) -> None:
        """The client says this."""
        while data:
            data = self._read_command(data) if self._tail is None else self._read_letter(self._tail, data)

    def _read_command(self, data: bytes) -> bytes:
        line, newline, rest = data.partition(b"\n")
        self._command += line
        if newline:
            self._data_asked = self._command.strip().upper() == b"DATA"
            self._command = b""
        return rest

    def _read_letter(self, tail: bytes, data: bytes) -> bytes:
        """Look for the end, which may have begun in an earlier chunk."""
        seen = tail + data
        end = seen.find(_LETTER_END)
        if end < 0:
            self._tail = seen[-(len(_LETTER_END) - 1) :]
            return b""
        self._tail = None
        self._dots += 1
        return seen[end + len(_LETTER_END) :]

    def down(self, data: bytes) -> list[int]:
        """The server says this."""
        told: list[int] = []
        begin = 0
        for line in data.splitlines(keepends=True):
            end = begin + len(line)
            self._answer += line
            if line.endswith(b"\n"):
                if self._hear_answer(self._answer):
                    told.append(begin)
                self._answer = b""
            begin = end
        return told

    def _hear_answer(self, answer: bytes) -> bool:
        if self._data_asked and answer.startswith(b"354"):
            self._data_asked = False
            self._tail = b"\r\n"  # a letter may be empty
        elif self._dots and answer[3:4] != b"-":
            self._dots -= 1
            return True
        return False


_LETTER_END = b"\r\n.\r\n"


@dataclass(frozen=True, slots=True)
class Readable:
    """A protocol that can be read."""

    trigger: Trigger
    reader: Callable[[], Dialogue]


DIALOGUES = {
    "postgres": Readable(Trigger.COMMIT, PostgresDialogue),
    "kafka": Readable(Trigger.PRODUCE, KafkaDialogue),
    "smtp": Readable(Trigger.DATA_END, SmtpDialogue),
}
