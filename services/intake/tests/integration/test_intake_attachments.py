"""Files and diagnostic data of tickets on a running intake, and those that letters bring."""

import base64
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from opora_embedded.testing import PostgresServer
from opora_intake.api.dependencies import files_of
from opora_intake.attachments.clamd import Clamd
from opora_intake.domain.attachments import FileRules
from opora_intake.handlers.attachments import Files, rescan, sweep
from services.intake.tests.conftest import Desk
from services.intake.tests.integration.test_intake_search import as_holder_of
from services.intake.tests.mailroom import Mailroom, letter, mailroom_on, someone
from services.intake.tests.test_intake_files import LATER, VIRUS, pieces, scanner

pytestmark = pytest.mark.asyncio(loop_scope="session")

PNG = b"\x89PNG\r\n\x1a\n" + b"picture"


async def upload(desk: Desk, ticket: Any, content: bytes, name: str = "a.bin", **query: Any) -> httpx.Response:
    """The answer to a file that is sent as it is."""
    headers = {"Content-Type": "text/plain", **query.pop("headers", {})}
    return await desk.client.post(
        f"/v1/tickets/{ticket['number']}/attachments", params={"name": name, **query}, content=content, headers=headers
    )


async def download(desk: Desk, attached: Any) -> httpx.Response:
    """The answer to a download."""
    return await desk.client.get(f"/v1/tickets/{attached['ticket_id']}/attachments/{attached['id']}/content")


def bounded(desk: Desk, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> Files:
    """From now on the service keeps files so."""
    own = files_of(desk.service.platform)
    assert own is not None
    files = Files(changes.pop("storage", own.storage), changes.pop("clamd", None), FileRules(**changes))
    monkeypatch.setattr("opora_intake.api.attachments.files_of", lambda _platform: files)
    return files


async def test_a_file_is_attached_listed_and_downloaded(desk: Desk) -> None:
    """Its type is what its bytes say, its name is made harmless, and it comes back byte by byte in a sandbox."""
    ticket = await desk.opened()
    replied = await desk.post(f"/tickets/{ticket['number']}/replies", {"body": "See the picture"})
    answer = await upload(desk, ticket, PNG, "../scr\u202een.png", message_id=replied["message_id"])
    assert answer.status_code == 201
    attached = answer.json()
    assert (attached["name"], attached["type"], attached["claimed_type"]) == ("_scren.png", "image/png", "text/plain")
    assert (attached["size_bytes"], attached["sha256"]) == (len(PNG), sha256(PNG).hexdigest())
    assert (attached["message_id"], attached["verdict"]) == (replied["message_id"], "unscanned")
    second = (await upload(desk, ticket, b"<html>", "page.html")).json()
    page = await desk.get(f"/tickets/{ticket['number']}/attachments", limit=1)
    assert page["items"] == [attached]
    rest = await desk.get(f"/tickets/{ticket['number']}/attachments", limit=1, cursor=page["next_cursor"])
    assert (rest["items"], rest["next_cursor"]) == ([second], None)
    got = await download(desk, attached)
    assert (got.content, got.headers["content-type"]) == (PNG, "image/png")
    assert got.headers["content-disposition"].startswith('attachment; filename="_scren.png"')
    assert got.headers["content-security-policy"] == "sandbox; default-src 'none'"
    assert got.headers["x-content-type-options"] == "nosniff"
    assert (await download(desk, second)).headers["content-type"] == "application/octet-stream"


async def test_a_file_is_refused_with_the_reason(desk: Desk) -> None:
    """Where there is no such ticket or message, without a name, and on another ticket's path."""
    ticket, other = await desk.opened(), await desk.opened()
    assert (await upload(desk, {"number": "OP-99999999"}, b"x")).status_code == 404
    assert (await upload(desk, ticket, b"x", name="")).status_code == 422
    assert (await upload(desk, ticket, b"x", message_id=str(uuid4()))).status_code == 422
    attached = (await upload(desk, ticket, b"x")).json()
    assert (await download(desk, {**attached, "ticket_id": other["id"]})).status_code == 404
    assert (await download(desk, {**attached, "id": str(uuid4())})).status_code == 404
    async with as_holder_of(desk, "tickets:read", "tickets:write") as client:
        assert (await client.get(f"/v1/tickets/{ticket['number']}/attachments")).status_code == 403


async def test_limits_hold_to_the_byte(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file, a ticket's bytes and a ticket's files; also where the length is not declared."""
    bounded(desk, monkeypatch, most_file_bytes=10, most_ticket_bytes=25, most_ticket_files=3)
    ticket = await desk.opened()
    assert (await upload(desk, ticket, b"x" * 11)).status_code == 413

    async def undeclared() -> AsyncIterator[bytes]:
        yield b"x" * 6
        yield b"x" * 6

    answer = await desk.client.post(
        f"/v1/tickets/{ticket['number']}/attachments", params={"name": "a"}, content=undeclared()
    )
    assert (answer.status_code, answer.json()["detail"]) == (413, "A file has at most 10 bytes.")
    for content in (b"a" * 10, b"b" * 10):
        assert (await upload(desk, ticket, content)).status_code == 201
    full = await upload(desk, ticket, b"c" * 6)
    assert (full.status_code, "25 bytes" in full.json()["detail"]) == (409, True)
    assert (await upload(desk, ticket, b"c" * 5)).status_code == 201
    assert (await upload(desk, ticket, b"")).status_code == 409


async def test_a_repeated_upload_is_one_attachment(desk: Desk) -> None:
    """Under the same key the same answer; another file under it is refused."""
    ticket = await desk.opened()
    key = {"Idempotency-Key": uuid4().hex}
    first, again, other = [await upload(desk, ticket, content, headers=key) for content in (b"a", b"a", b"b")]
    assert (first.json(), again.headers["idempotent-replayed"]) == (again.json(), "true")
    assert other.status_code == 422
    assert len((await desk.get(f"/tickets/{ticket['number']}/attachments"))["items"]) == 1


async def test_what_the_scanner_finds_is_not_handed_out(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A virus is quarantined; what was not looked through waits; what is clean is handed out, also when seen later."""
    socket = str(tmp_path / "clamd.sock")
    files = bounded(desk, monkeypatch, clamd=Clamd(socket))
    ticket = await desk.opened()
    late = (await upload(desk, ticket, uuid4().bytes)).json()
    assert late["verdict"] == "unscanned"
    assert (await download(desk, late)).status_code == 409
    async with scanner(socket):
        bad = (await upload(desk, ticket, VIRUS + uuid4().bytes)).json()
        good = (await upload(desk, ticket, uuid4().bytes)).json()
        assert (bad["verdict"], bad["finding"], good["verdict"]) == ("infected", "Made.Up-1", "clean")
        refused = await download(desk, bad)
        assert (refused.status_code, "Made.Up-1" in refused.json()["detail"]) == (403, True)
        assert (await download(desk, good)).status_code == 200
        while await rescan(files, desk.database):
            pass
    assert (await download(desk, late)).status_code == 200


async def test_a_crash_leaves_an_orphan_and_never_a_row_without_file(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Bytes whose row never came are swept after a day, and not before; what a row names stays."""
    own = files_of(desk.service.platform)
    assert own is not None
    files = bounded(desk, monkeypatch, storage=type(own.storage)(tmp_path))
    ticket = await desk.opened()
    attached = (await upload(desk, ticket, uuid4().bytes)).json()
    orphan = await files.keep(pieces(b"its row never came"))
    (tmp_path / "incoming" / "half").write_bytes(b"half")
    assert await sweep(files, desk.database) == 0
    assert await sweep(files, desk.database, orphan_seconds=-LATER / 10) == 2
    assert not files.storage.path_of(orphan.sha256.hex()).exists()
    assert (await download(desk, attached)).status_code == 200


async def test_diagnostic_data_is_recorded_in_order(desk: Desk) -> None:
    """A value, an address or a file of the same ticket; exactly one of them."""
    ticket, other = await desk.opened(), await desk.opened()
    log = (await upload(desk, ticket, b"12:00 failed", "app.log")).json()
    path = f"/tickets/{ticket['number']}/diagnostics"
    made = [
        await desk.post(path, body)
        for body in (
            {"kind": "trace", "name": "sign-in", "value": "4bf92f"},
            {"kind": "metrics", "name": "5xx", "url": "https://metrics.example.org/d/1"},
            {"kind": "log", "name": "of the server", "attachment_id": log["id"]},
        )
    ]
    assert (await desk.get(path))["items"] == made
    for body in (
        {"kind": "trace", "name": "x"},
        {"kind": "trace", "name": "x", "value": "1", "url": "https://example.org"},
        {"kind": "rumour", "name": "x", "value": "1"},
        {"kind": "metrics", "name": "x", "url": "javascript:alert(1)"},
        {"kind": "log", "name": "x", "value": "v" * 100_001},
    ):
        await desk.post(path, body, status=422)
    elsewhere = {"kind": "log", "name": "x", "attachment_id": log["id"]}
    await desk.post(f"/tickets/{other['number']}/diagnostics", elsewhere, status=422)
    await desk.post("/tickets/OP-99999999/diagnostics", {"kind": "trace", "name": "x", "value": "1"}, status=404)


async def test_without_a_directory_nothing_is_kept(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer says what to set."""
    monkeypatch.setattr("opora_intake.api.attachments.files_of", lambda _platform: None)
    answer = await upload(desk, await desk.opened(), b"x")
    assert (answer.status_code, "OPORA_INTAKE_FILES_DIRECTORY" in answer.json()["detail"]) == (409, True)


async def attached_to(room: Mailroom, ticket_id: Any) -> list[Any]:
    """The rows of a ticket's files."""
    return await room.database.fetch("select * from attachments where ticket_id = $1 order by id", ticket_id)


async def test_a_letters_files_are_on_the_message_that_it_became(postgres: PostgresServer, tmp_path: Path) -> None:
    """With the content id by which the letter shows them; a letter that cannot be read is a file itself."""
    anna = someone()
    picture = base64.b64encode(PNG).decode()
    parts = (
        "--b\r\nContent-Type: text/plain\r\n\r\nLook\r\n"
        f"--b\r\nContent-Type: image/png\r\nContent-ID: <pic@x>\r\n"
        f"Content-Transfer-Encoding: base64\r\n\r\n{picture}\r\n"
        "--b\r\nContent-Disposition: attachment; filename=notes.txt\r\n\r\nnotes\r\n--b--\r\n"
    )
    raw = letter(anna, parts, Content_Type="multipart/mixed; boundary=b")
    unreadable = b"no letter at all \xff" + uuid4().bytes
    async with mailroom_on(postgres, intake_files_directory=tmp_path) as room, room.running():
        await room.send(raw, sender=anna)
        kept = await room.handled(raw)
        rows = await attached_to(room, kept.ticket_id)
        (message,) = await room.messages_of(kept.ticket_id)
        assert [(row["name"], row["content_id"], row["inline"]) for row in rows] == [
            ("attachment-1.png", "pic@x", True),
            ("notes.txt", None, False),
        ]
        assert {(row["message_id"], row["letter_id"]) for row in rows} == {(message["id"], kept.id)}
        files = files_of(room.platform)
        assert files is not None
        assert b"".join([piece async for piece in files.storage.read(rows[0]["sha256"])]) == PNG
        await room.send(unreadable, sender=anna)
        quarantined = (await room.letters(state="received") + await room.letters(state="quarantined"))[0]
        lost = await room.handled(await raw_of(room, quarantined.id))
        (row,) = await attached_to(room, lost.ticket_id)
        assert (lost.outcome, row["name"], row["claimed"]) == ("unreadable", f"letter-{lost.id}.eml", "message/rfc822")


async def raw_of(room: Mailroom, letter_id: Any) -> bytes:
    """A letter's bytes as they were kept."""
    return bytes(await room.database.fetchval("select raw from letters where id = $1", letter_id))


async def test_a_full_ticket_refuses_no_letter(postgres: PostgresServer, tmp_path: Path) -> None:
    """What has no room stays in the raw letter; the letter is a ticket all the same."""
    anna = someone()
    part = "--b\r\nContent-Disposition: attachment; filename={0}\r\n\r\n{0}\r\n"
    text = "".join(part.format(name) for name in ("one", "two", "three")) + "--b--\r\n"
    raw = letter(anna, text, Content_Type="multipart/mixed; boundary=b")
    settings = {"intake_files_directory": tmp_path, "intake_ticket_most_files": 2}
    async with mailroom_on(postgres, **settings) as room, room.running():
        await room.send(raw, sender=anna)
        kept = await room.handled(raw)
        assert kept.outcome == "opened"
        assert [row["name"] for row in await attached_to(room, kept.ticket_id)] == ["one", "two"]
