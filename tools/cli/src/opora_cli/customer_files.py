"""Files of customers between a disk and intake: read and sent piece by piece, and written as they stream in."""

import codecs
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from opora_cli.client import ServiceClient
from opora_cli.console import say
from opora_cli.endpoints import Endpoints
from opora_cli.errors import UNUSABLE_INPUT, CommandError

PIECE_BYTES = 196_608
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True, slots=True)
class CustomerFile:
    """A file that can be imported: UTF-8, and where its text begins behind a byte order mark."""

    path: Path
    begin: int
    size: int
    digest: str


def checked_file(path: Path) -> CustomerFile:
    """Read the file once, piece by piece. Raises CommandError with the place where it is no UTF-8."""
    digest, decoder = hashlib.sha256(), codecs.getincrementaldecoder("utf-8")()
    try:
        with path.open("rb") as file:
            head = file.read(3)
            if head[:2] in _UTF_16:
                raise CommandError(f"{path} is UTF-16: save it as UTF-8", exit_code=UNUSABLE_INPUT)
            begin = 3 if head == codecs.BOM_UTF8 else 0
            file.seek(0)
            done = 0
            line = 1
            while piece := file.read(PIECE_BYTES):
                digest.update(piece)
                try:
                    decoder.decode(piece)
                except UnicodeDecodeError as error:
                    # What the decoder had kept of the piece before comes first in the bytes that it names.
                    broken = error.object[: error.start].count(b"\n")
                    place = done + error.start - (len(error.object) - len(piece))
                    raise CommandError(
                        f"{path}:{line + broken}: byte {place} is no UTF-8: save the file as UTF-8",
                        exit_code=UNUSABLE_INPUT,
                    ) from error
                done += len(piece)
                line += piece.count(b"\n")
            if decoder.getstate()[0]:
                raise CommandError(f"{path}:{line}: the file ends within a character", exit_code=UNUSABLE_INPUT)
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}", exit_code=UNUSABLE_INPUT) from error
    if done == begin:
        raise CommandError(f"{path} is empty", exit_code=UNUSABLE_INPUT)
    return CustomerFile(path, begin, done - begin, digest.hexdigest())


async def import_customers(endpoints: Endpoints, file: CustomerFile, file_format: str, name: str) -> dict[str, Any]:
    """Send what intake does not have yet; the import in the end, with its `refusals`. Raises CommandError."""
    client = ServiceClient("intake", endpoints.services["intake"].url, endpoints.api_key)
    try:
        one = await client.post("/v1/customer-imports", {"name": name, "format": file_format})
        if one["format"] != file_format:
            raise CommandError(f"{name} was begun as {one['format']}: give another --name", exit_code=UNUSABLE_INPUT)
        if one["state"] == "open" and one["received_bytes"]:
            say(f"going on at byte {one['received_bytes']} of {file.size}")
        with file.path.open("rb") as source:
            while one["state"] == "open":
                one = await _send_piece(client, one, source, file)
                say(f"{one['received_bytes']} of {file.size} bytes, {one['rows']} rows, {one['refused']} refused")
        return {**one, "refusals": await _refusals(client, one["id"])}
    finally:
        await client.close()


async def _send_piece(client: ServiceClient, one: dict[str, Any], source: BinaryIO, file: CustomerFile) -> Any:
    offset: int = one["received_bytes"]
    source.seek(file.begin + offset)
    decoder = codecs.getincrementaldecoder("utf-8")()
    # A character that is cut off at the end comes with the next piece.
    text = decoder.decode(source.read(PIECE_BYTES))
    last = offset + len(text.encode()) >= file.size
    return await client.post(f"/v1/customer-imports/{one['id']}/pieces", {"offset": offset, "text": text, "last": last})


async def _refusals(client: ServiceClient, import_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        page = await client.get(f"/v1/customer-imports/{import_id}/refusals", cursor=cursor)
        found += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return found


async def export_customers(endpoints: Endpoints, file_format: str, target: BinaryIO) -> None:
    """Write every customer as they stream in. Raises CommandError."""
    client = ServiceClient("intake", endpoints.services["intake"].url, endpoints.api_key)
    try:
        async for piece in client.stream("/v1/customers/export", format=file_format):
            target.write(piece)
    finally:
        await client.close()
