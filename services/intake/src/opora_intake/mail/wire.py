"""What passes between intake and the process that reads letters: frames of length, JSON and raw bytes.

A frame is the length of its JSON and the length of what follows it, four bytes each in network order, then both. The
reader of a frame trusts it no further than its lengths allow: the process that wrote it has read a stranger's letter.
"""

import json
import struct
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from opora_intake.mail.addresses import Address
from opora_intake.mail.authentication import Authenticated
from opora_intake.mail.letter import (
    Attachment,
    Automatic,
    Bounce,
    DeliveryFact,
    Letter,
    Outcome,
    Reading,
    Unreadable,
    Verdict,
)
from opora_intake.mail.limits import MOST_LETTER_BYTES, Reason
from opora_intake.mail.signatures import Signer

PREFIX = struct.Struct("!II")
MOST_FRAME_BYTES = 4 * MOST_LETTER_BYTES


class BrokenFrame(Exception):  # noqa: N818  names what came, not what went wrong
    """What came is no frame of this format."""


def frame(document: Mapping[str, Any], content: bytes = b"") -> bytes:
    """The frame of a JSON document with the bytes that belong to it."""
    text = json.dumps(document).encode()
    return PREFIX.pack(len(text), len(content)) + text + content


def frame_lengths(prefix: bytes) -> tuple[int, int]:
    """The lengths of the JSON and of the bytes after it. Raises BrokenFrame for more than a frame may hold."""
    lengths: tuple[int, int] = PREFIX.unpack(prefix)
    if sum(lengths) > MOST_FRAME_BYTES:
        raise BrokenFrame(f"a frame of {sum(lengths)} bytes")
    return lengths


def frame_of(reading: Reading) -> bytes:
    """The frame of what became of a letter; attachments stand after the JSON in their order."""
    document: dict[str, Any] = {"kind": type(reading).__name__}
    if isinstance(reading, Letter):
        contents = [attachment.content for attachment in reading.attachments]
        bare = replace(reading, attachments=tuple(replace(one, content=b"") for one in reading.attachments))
        document |= asdict(bare)
        document["sent_at"] = reading.sent_at.isoformat() if reading.sent_at else None
        for described, content in zip(document["attachments"], contents, strict=True):
            described["content"] = len(content)
        return frame(document, b"".join(contents))
    return frame(document | asdict(reading))


def reading_of(text: bytes, content: bytes) -> Reading:
    """The reading of a frame's JSON and bytes. Raises BrokenFrame for whatever `frame_of` would not have written."""
    try:
        document = json.loads(text)
        kind = document.pop("kind")
        if kind == "Letter":
            return _letter(document, content)
        if kind == "Bounce":
            return _bounce(document)
        if kind == "Unreadable":
            return Unreadable(Reason(document["reason"]), str(document["detail"]))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise BrokenFrame(f"no reading: {type(error).__name__}") from error
    raise BrokenFrame("a reading of an unknown kind")


def signed_frame(domains: tuple[str, ...]) -> bytes:
    """The frame of whose signatures are true."""
    return frame({"kind": "Signed", "domains": domains})


def signed_of(text: bytes, content: bytes) -> tuple[str, ...] | Reading:
    """Whose signatures are true, or why that could not be found out. Raises BrokenFrame as `reading_of` does."""
    try:
        document = json.loads(text)
        if document["kind"] == "Signed":
            return tuple(str(domain) for domain in document["domains"])
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise BrokenFrame(f"no signatures: {type(error).__name__}") from error
    return reading_of(text, content)


def _letter(document: dict[str, Any], content: bytes) -> Letter:
    attachments = []
    position = 0
    for described in document["attachments"]:
        end = position + described["content"]
        if not position <= end <= len(content):
            raise BrokenFrame("an attachment outside of the frame")
        attachments.append(Attachment(**{**described, "content": content[position:end]}))
        position = end
    sent_at, verdict = document["sent_at"], document["automatic"]
    return Letter(
        **{
            **document,
            "sender": Address(**document["sender"]) if document["sender"] else None,
            **{name: tuple(Address(**one) for one in document[name]) for name in ("to", "cc", "reply_to")},
            **{name: tuple(document[name]) for name in ("delivered_to", "in_reply_to", "references")},
            "sent_at": datetime.fromisoformat(sent_at) if sent_at else None,
            "attachments": tuple(attachments),
            "automatic": Verdict(Automatic(verdict["kind"]), verdict["evidence"]) if verdict else None,
            "authentication": tuple(
                Authenticated(**{**told, "passed": tuple(told["passed"])}) for told in document["authentication"]
            ),
            "signers": tuple(Signer(**signer) for signer in document["signers"]),
            "headers": tuple((name, value) for name, value in document["headers"]),
        }
    )


def _bounce(document: dict[str, Any]) -> Bounce:
    facts = tuple(DeliveryFact(**{**fact, "outcome": Outcome(fact["outcome"])}) for fact in document["facts"])
    returned = tuple(str(address) for address in document["returned_addresses"])
    return Bounce(facts, document["original_message_id"], document["reported_by"], returned)
