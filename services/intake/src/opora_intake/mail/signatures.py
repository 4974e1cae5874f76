"""DKIM signatures (RFC 6376): who says that he signed a letter, and who did. Found out where letters are read.

The signature of a letter is work for whoever wrote it: canonicalisation takes time with the square of its blanks, and
a key is as long as its domain likes. The process that reads letters bounds both.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from opora_intake.mail.authentication import is_aligned
from opora_intake.mail.limits import MOST_SIGNATURES, Refused
from opora_intake.mail.structure import split
from opora_intake.mail.words import to_text

_MOST_FIELDS = 20
_TAG = re.compile(r"\s*([a-z]{1,20})\s*=([^;]*)")
_NAME = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*")
_LONGEST_NAME = 253
_LEAST_KEY_BITS = 1024
_BLANKS = re.compile(rb"\s+")


@dataclass(frozen=True, slots=True)
class Signer:
    """Who says that he signed a letter: a domain, and which of its keys."""

    domain: str
    selector: str

    @property
    def key_name(self) -> str:
        """Where its key stands in the DNS (RFC 6376 §3.6.2.1)."""
        return f"{self.selector}._domainkey.{self.domain}"


def signers_of(fields: Sequence[bytes], domain: str) -> tuple[Signer, ...]:
    """Of the DKIM-Signature fields, who says that he signed for the domain, at most `MOST_SIGNATURES`, newest first.

    Raises for no input.
    """
    signers: dict[Signer, None] = {}
    for value in fields[:_MOST_FIELDS]:
        tags = {match[1]: match[2] for part in to_text(value).split(";") if (match := _TAG.match(part))}
        signer = Signer(_name(tags.get("d")), _name(tags.get("s")))
        is_named = signer.domain and signer.selector and len(signer.key_name) <= _LONGEST_NAME
        if is_named and is_aligned(domain.lower(), signer.domain):
            signers[signer] = None
    return tuple(signers)[:MOST_SIGNATURES]


def signed_by(raw: bytes, keys: Mapping[str, str]) -> tuple[str, ...]:
    """The domains of which a signature over the whole letter and its one From is true, by these keys.

    `keys` are the key records by name, as the DNS has them (RFC 6376 §3.6.1). A signature does not count that leaves a
    part of the body out (`l=`), is by SHA-1 or a key of fewer than 1,024 bits (RFC 8301), or has expired. Raises for no
    input (but MemoryError).
    """
    import dkim  # here: it takes 150 ms, and most processes are never asked

    def key(name: bytes, timeout: float = 0) -> bytes | None:
        del timeout
        record = keys.get(name.decode("ascii", "replace").rstrip(".").lower())
        return None if record is None else record.encode()

    signed: dict[str, None] = {}
    try:
        letter = dkim.DKIM(raw, minkey=_LEAST_KEY_BITS)
        if not _has_one_author(raw, letter.headers):
            return ()
        count = sum(name.strip().lower() == b"dkim-signature" for name, _ in letter.headers)
    except dkim.DKIMException:
        return ()
    for number in range(min(count, _MOST_FIELDS)):
        try:
            if letter.verify(number, dnsfunc=key) and _is_whole(letter.signature_fields, letter.include_headers):
                signed[letter.domain.decode("ascii").lower()] = None
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001, S112  whatever a signature makes the library raise, it proves nothing
            continue
    return tuple(signed)


def _has_one_author(raw: bytes, headers: Sequence[tuple[bytes, bytes]]) -> bool:
    """Whether there is one From, the same for us and for the library: else one is signed and the other is shown."""
    try:
        ours = split(raw).all("from")
    except Refused:
        return False
    theirs = [value for name, value in headers if name.strip().lower() == b"from"]
    return len(ours) == len(theirs) == 1 and _BLANKS.sub(b"", ours[0]) == _BLANKS.sub(b"", theirs[0])


def _is_whole(tags: Mapping[bytes, bytes], fields: Sequence[bytes]) -> bool:
    return b"l" not in tags and not tags[b"a"].endswith(b"sha1") and b"from" in fields


def _name(value: str | None) -> str:
    """The tag as a name of the DNS in lower case; empty where it is none."""
    name = "" if value is None else re.sub(r"\s", "", value).lower().rstrip(".")
    return name if _NAME.fullmatch(name) else ""
