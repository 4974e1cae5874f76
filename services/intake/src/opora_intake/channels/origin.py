"""Letters of whose origin no mail server says anything are proven by their DKIM signatures (RFC 6376), where that is
asked for: the keys are fetched here, and the signatures are checked where letters are read.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address

import structlog
from prometheus_client import Counter

from opora_intake.mail.authentication import OURSELVES, Authenticated
from opora_intake.mail.letter import Letter

KEY_SECONDS = 5.0
"""In which a key must have come; all of a letter are asked for at once."""

MOST_ASKED = 3
"""Attempts at a letter that end because the DNS does not answer; at the next one the letter counts as unproven."""

_PORT, _LAST_PORT = 53, 65_535
_SERVER = re.compile(
    r"(?:\[(?P<bracketed>[0-9a-fA-F:.]+)\]|(?P<address>[0-9.]+))(?::(?P<port>[0-9]{1,5}))?|(?P<bare>[0-9a-fA-F:.]+)"
)

SIGNATURES = Counter("opora_letter_signatures_total", "Letters whose DKIM signature was looked at", ["result"])
log = structlog.get_logger()

Records = Callable[[str], Awaitable[str | None]]
"""The key record of the name; None where there is none. Raises KeysUnavailable."""

Check = Callable[[bytes, Mapping[str, str]], Awaitable[tuple[str, ...]]]
"""Of which domains a signature of the letter is true by these keys."""


class KeysUnavailable(Exception):  # noqa: N818  the state of the DNS; says nothing of the letter
    """The DNS did not say whether there is such a key: the letter can be looked at later."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Finds out where letters come from of which no server that is believed says anything."""

    servers: frozenset[str]
    """Those that are believed."""
    records: Records

    async def proven(self, raw: bytes, letter: Letter, attempts: int, check: Check) -> Letter:
        """The letter with what its signatures prove. Raises KeysUnavailable in the first `MOST_ASKED` attempts."""
        if not letter.signers or any(told.server in self.servers for told in letter.authentication):
            return letter
        try:
            keys = await self._keys({signer.key_name for signer in letter.signers})
        except KeysUnavailable:
            if attempts <= MOST_ASKED:
                raise
            log.warning("letter_keys_unavailable", names=[signer.key_name for signer in letter.signers])
            SIGNATURES.labels("unknown").inc()
            return letter
        domains = await check(raw, keys) if keys else ()
        SIGNATURES.labels("pass" if domains else "fail").inc()
        return replace(letter, authentication=(Authenticated(OURSELVES, None, domains), *letter.authentication))

    async def _keys(self, names: Iterable[str]) -> dict[str, str]:
        """The keys that there are, by name."""
        ordered = sorted(names)
        found = await asyncio.gather(*(self.records(name) for name in ordered))
        return {name: key for name, key in zip(ordered, found, strict=True) if key is not None}


def nameserver(entry: str) -> tuple[str, int]:
    """Address and port of `192.0.2.53`, `192.0.2.53:5353`, `2001:db8::53` or `[2001:db8::53]:5353`.

    Raises ValueError for what is none.
    """
    parts = _SERVER.fullmatch(entry)
    groups = parts.groupdict() if parts is not None else {}
    host = groups.get("bracketed") or groups.get("bare") or groups.get("address") or ""
    port = int(groups.get("port") or _PORT)
    try:
        address = ip_address(host if 0 < port <= _LAST_PORT else "")
    except ValueError:
        raise ValueError(
            f"{entry!r} is no DNS server: write its address, with :port where it is not 53 ([address]:port for IPv6)"
        ) from None
    return str(address), port
