"""A toy service's HTTP on a real database: notes that can be written, read, listed and closed."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import asyncpg
import httpx
import pytest
from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, PlainTextResponse, Response
from pydantic import BaseModel

from opora_chassis.clock import Clock
from opora_chassis.database import Database, Transaction
from opora_chassis.http import (
    Caller,
    Conflict,
    Input,
    Limit,
    NotFound,
    PlatformDependency,
    WriteCall,
    build_app,
    create_key,
    decode_cursor,
    form_fields,
    page_of,
    requires,
    writes,
)
from opora_chassis.identifiers import new_id
from opora_chassis.migrations import CHASSIS_MIGRATIONS, migrate, read_set
from opora_chassis.platform import Platform
from opora_chassis.settings import ServiceSettings

MAX_BODY_BYTES = 2048


class NewNote(Input):
    """What a caller writes."""

    text: str
    urgent: bool = False


class Note(BaseModel):
    """What a caller reads."""

    id: UUID
    text: str
    actor: str
    created_at: datetime


def writing() -> APIRouter:
    """The toy service's writes."""
    router = APIRouter()

    @router.post("/v1/notes", response_model=Note, status_code=201)
    async def write_note(body: NewNote, call: Annotated[WriteCall, Depends(writes("notes:write"))]) -> Response:
        async def add(tx: Transaction) -> Note:
            note = Note(id=new_id(), text=body.text, actor=call.caller.actor, created_at=tx.now)
            await tx.execute(
                "insert into notes (id, text, actor, created_at) values ($1, $2, $3, $4)",
                note.id,
                note.text,
                note.actor,
                note.created_at,
            )
            if body.text == "refused":
                raise Conflict("This note may not be written now.")
            return note

        return await call.run(add, status=201)

    @router.post("/v1/notes/{note_id}/close")
    async def close_note(note_id: UUID, call: Annotated[WriteCall, Depends(writes("notes:write"))]) -> Response:
        async def close(_tx: Transaction) -> None:
            raise Conflict(f"Note {note_id} is open; it cannot be closed.", allowed=["edit", "read"])

        return await call.run(close)

    async def hot(request: Request) -> PlainTextResponse:
        caller = await requires("notes:write")(request)
        return PlainTextResponse(caller.name)

    router.add_route("/v1/hot", hot, methods=["POST"])
    return router


def reading() -> APIRouter:
    """Its reads and its page."""
    router = APIRouter()

    @router.get("/v1/notes")
    async def list_notes(
        platform: PlatformDependency,
        _caller: Annotated[Caller, Depends(requires("notes:read"))],
        limit: Limit = 50,
        cursor: str | None = None,
    ) -> Any:
        position = decode_cursor(cursor, id=UUID) or {"id": UUID(int=0)}
        rows = await platform.database.fetch(
            "select * from notes where id > $1 order by id limit $2", position["id"], limit + 1
        )
        return page_of([Note(**row) for row in rows], limit, lambda note: {"id": note.id})

    @router.get("/v1/notes/{note_id}")
    async def read_note(note_id: UUID, _caller: Annotated[Caller, Depends(requires("notes:read"))]) -> Note:
        raise NotFound("note", note_id)

    @router.get("/v1/crash")
    async def crash() -> None:
        raise RuntimeError("the secret of the house")

    @router.post("/pages/rate")
    async def rate(request: Request) -> HTMLResponse:
        return HTMLResponse(str(await form_fields(request)))

    return router


@dataclass(slots=True)
class Gate:
    """A TCP proxy in front of the database, which can be cut like a cable."""

    host: str
    port: int
    local_port: int = 0
    _server: asyncio.Server | None = None
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    async def open(self) -> None:
        """Accept connections; on the same port as before when there was one."""
        self._server = await asyncio.start_server(self._connect, "127.0.0.1", self.local_port)
        self.local_port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Break every connection and refuse new ones."""
        if self._server is not None:
            self._server.close()
        for writer in tuple(self._writers):
            writer.transport.abort()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection(self.host, self.port)
        self._writers |= {writer, there_writer}
        await asyncio.gather(self._pump(reader, there_writer), self._pump(there_reader, writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
        except OSError:
            pass
        finally:
            self._writers.discard(writer)
            writer.transport.abort()


@dataclass(frozen=True, slots=True)
class Notes:
    """The toy service under test. `client` holds an admin key."""

    client: httpx.AsyncClient
    database: Database
    platform: Platform

    async def texts(self) -> list[str]:
        """What is stored, in order."""
        return [row["text"] for row in await self.database.fetch("select text from notes order by id")]


@asynccontextmanager
async def serving(dsn: str) -> AsyncIterator[Notes]:
    """The toy service on a migrated database."""
    settings = ServiceSettings(database_dsn=dsn, kafka_bootstrap="unused:9092", max_body_bytes=MAX_BODY_BYTES)
    database = await Database.open(dsn, service="notes", clock=Clock())
    platform = Platform("notes", settings, database, Clock())
    app = build_app(platform, [writing(), reading()], form_paths=["/pages/"])
    token = await create_key(database, "office", ["admin"])
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://notes", headers={"Authorization": f"Bearer {token}"}
    ) as client:
        yield Notes(client, database, platform)
    await database.close()


@pytest.fixture
async def migrated(database: str) -> str:
    """A database with the chassis' tables and the notes."""
    await migrate(database, read_set("chassis", CHASSIS_MIGRATIONS))
    connection = await asyncpg.connect(database)
    await connection.execute("create table notes (id uuid primary key, text text, actor text, created_at timestamptz)")
    await connection.close()
    return database


@pytest.fixture
async def notes(migrated: str) -> AsyncIterator[Notes]:
    """The toy service."""
    async with serving(migrated) as running:
        yield running


@pytest.fixture
async def gate(migrated: str) -> AsyncIterator[Gate]:
    """The cable to the database."""
    parts = urlsplit(migrated)
    cable = Gate(parts.hostname or "127.0.0.1", parts.port or 5432)
    await cable.open()
    yield cable
    await cable.cut()


@pytest.fixture
async def notes_behind_gate(migrated: str, gate: Gate) -> AsyncIterator[Notes]:
    """The toy service, connected through the cable."""
    parts = urlsplit(migrated)
    login = parts.netloc.rpartition("@")[0]
    netloc = f"{login}@127.0.0.1:{gate.local_port}" if login else f"127.0.0.1:{gate.local_port}"
    async with serving(urlunsplit(parts._replace(netloc=netloc))) as running:
        yield running


@pytest.fixture
def anonymous(notes: Notes) -> Iterator[httpx.Headers]:
    """Take the client's key away for one test."""
    kept = notes.client.headers.pop("authorization")
    yield notes.client.headers
    notes.client.headers["authorization"] = kept
