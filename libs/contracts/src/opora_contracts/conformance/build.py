"""Records for the cases, in both modes of the CloudEvents Kafka binding, right or wrong in any single respect."""

import json
from collections.abc import Callable, Mapping, Sequence
from types import EllipsisType
from typing import Any

from opora_contracts.conformance.case import Compression, Record, RecordOf, Run
from opora_contracts.envelope import JSON_CONTENT_TYPE, STRUCTURED_CONTENT_TYPE

TIME = "2026-03-02T08:14:05Z"
TITLE = "Login page answers 502"
MINIMAL: Mapping[str, Any] = {"title": TITLE}

Change = str | Callable[[str], str] | None
"""An attribute's value, or how the identity makes one; None leaves the attribute out."""
Key = bytes | Callable[[str], bytes] | None


def attributes_of(run: Run, identity: str, changes: Mapping[str, Change]) -> dict[str, str]:
    """The context attributes of a case's event, with changes."""
    attributes: dict[str, Change] = {
        "specversion": "1.0",
        "id": identity,
        "source": run.source,
        "type": "ticket.submitted",
        "time": TIME,
        "subject": identity,
        **changes,
    }
    given = {name: change(identity) if callable(change) else change for name, change in attributes.items()}
    return {name: text for name, text in given.items() if text is not None}


def as_json(data: Any) -> bytes:
    """JSON in UTF-8, characters as they are."""
    return json.dumps(data, ensure_ascii=False).encode()


def binary(
    *,
    data: Mapping[str, Any] = MINIMAL,
    value: bytes | EllipsisType | None = ...,
    key: Key | EllipsisType = ...,
    raw: Mapping[str, bytes | None] | None = None,
    further: Sequence[tuple[str, bytes | None]] = (),
    content_type: str | None = JSON_CONTENT_TYPE,
    header_name: Callable[[str], str] = str,
    compression: Compression = Compression.NONE,
    **changes: Change,
) -> RecordOf:
    """A record in binary mode, with the subject as its key.

    `value` stands instead of the data's JSON, `raw` gives single headers as bytes, `further` adds headers,
    `header_name` writes their names. The remaining arguments change the event's attributes.
    """

    def build(run: Run, identity: str) -> Record:
        attributes = attributes_of(run, identity, changes)
        headers: dict[str, bytes | None] = {f"ce_{name}": text.encode() for name, text in attributes.items()}
        if content_type is not None:
            headers["content-type"] = content_type.encode()
        headers = {header_name(name): content for name, content in {**headers, **(raw or {})}.items()}
        return _record(
            run,
            identity,
            attributes,
            key=key,
            headers=(*headers.items(), *further),
            value=as_json(data) if isinstance(value, EllipsisType) else value,
            compression=compression,
        )

    return build


def bare(*headers: tuple[str, bytes | None]) -> RecordOf:
    """A minimal request with these headers and no others."""

    def build(run: Run, identity: str) -> Record:
        return _record(run, identity, {}, headers=headers, value=as_json(MINIMAL))

    return build


def structured(
    *,
    data: Any = MINIMAL,
    document: str | None = None,
    members: Mapping[str, Any] | None = None,
    content_type: str = STRUCTURED_CONTENT_TYPE,
    **changes: Change,
) -> RecordOf:
    """A record in structured mode. `data=None` leaves the data out, `members` are added to the event.

    `document` stands instead of the event's JSON; in it, `%(id)s` and so on are the event's attributes.
    """

    def build(run: Run, identity: str) -> Record:
        attributes = attributes_of(run, identity, changes)
        event: dict[str, Any] = {**attributes, **({} if data is None else {"data": data}), **(members or {})}
        value = as_json(event) if document is None else (document % attributes).encode()
        return _record(run, identity, attributes, headers=(("content-type", content_type.encode()),), value=value)

    return build


def filled(size_bytes: int) -> bytes:
    """JSON of a minimal request, brought to this size in bytes by a field that the type does not have."""
    empty = as_json({**MINIMAL, "filler": ""})
    return as_json({**MINIMAL, "filler": "x" * (size_bytes - len(empty))})


def nested(levels: int) -> bytes:
    """JSON of a minimal request that nests so deep, in a field that the type does not have."""
    return as_json(MINIMAL)[:-1] + b', "nested": ' + b"[" * (levels - 1) + b"]" * (levels - 1) + b"}"


def padded(characters: int, filler: str = "x", prefix: str = "") -> Callable[[str], str]:
    """Makes of an identity a text of so many characters."""

    def build(identity: str) -> str:
        return f"{prefix}{identity}." + filler * (characters - len(prefix) - len(identity) - 1)

    return build


def followed_by(rest: str) -> Callable[[str], str]:
    """Makes of an identity another one."""
    return lambda identity: identity + rest


def key_ending(rest: bytes) -> Callable[[str], bytes]:
    """Makes of an identity a key that ends so."""
    return lambda identity: identity.encode() + rest


def _record(
    run: Run,
    identity: str,
    attributes: Mapping[str, str],
    *,
    key: Key | EllipsisType = ...,
    headers: tuple[tuple[str, bytes | None], ...],
    value: bytes | None,
    compression: Compression = Compression.NONE,
) -> Record:
    subject = attributes.get("subject", identity)
    if isinstance(key, EllipsisType):
        key = subject.encode()
    return Record(
        key=key(identity) if callable(key) else key,
        headers=headers,
        value=value,
        source=attributes.get("source", run.source),
        subject=subject,
        compression=compression,
    )
