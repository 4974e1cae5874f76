"""Letters with DKIM signatures, and a DNS server that has their keys."""

import asyncio
import base64
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import dkim
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from tests.programs import program

_PIECE = 255


@dataclass(frozen=True, slots=True)
class Signing:
    """A domain's key, of so many bits."""

    domain: str
    selector: str = "mail"
    bits: int = 2048

    @property
    def name(self) -> str:
        """Where the key record stands."""
        return f"{self.selector}._domainkey.{self.domain}"

    @property
    def record(self) -> str:
        """The key record."""
        public = _openssl("rsa", "-pubout", "-outform", "DER", given=_private(self.bits))
        return f"v=DKIM1; k=rsa; p={base64.b64encode(public).decode()}"

    def signed(self, raw: bytes, **options: Any) -> bytes:
        """The letter with a signature before it; options as of `dkim.sign`."""
        given = {"canonicalize": (b"relaxed", b"relaxed")} | options
        signature: bytes = dkim.sign(raw, self.selector.encode(), self.domain.encode(), _private(self.bits), **given)
        return signature + raw


@dataclass(slots=True)
class Zone(asyncio.DatagramProtocol):
    """What a DNS server knows."""

    records: dict[str, str]
    is_broken: bool = False
    """Then it answers that it failed (SERVFAIL)."""
    asked: list[str] = field(default_factory=list)
    transport: Any = None
    port: int = 0

    def connection_made(self, transport: Any) -> None:
        """Remember by which way to answer."""
        self.transport = transport
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Answer a question."""
        query = dns.message.from_wire(data)
        (question,) = query.question
        name = question.name.to_text(omit_final_dot=True).lower()
        self.asked.append(name)
        answer = dns.message.make_response(query, recursion_available=True)
        if self.is_broken:
            answer.set_rcode(dns.rcode.SERVFAIL)
        elif (record := self.records.get(name)) is None:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        else:
            pieces = [record[start : start + _PIECE] for start in range(0, len(record), _PIECE)]
            text = " ".join(f'"{piece}"' for piece in pieces)
            answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", "TXT", text))
        self.transport.sendto(answer.to_wire(), addr)


@asynccontextmanager
async def dns_server(*keys: Signing) -> AsyncIterator[Zone]:
    """A DNS server on this machine that has these keys."""
    loop = asyncio.get_running_loop()
    zone = Zone({key.name: key.record for key in keys})
    transport, _ = await loop.create_datagram_endpoint(lambda: zone, local_addr=("127.0.0.1", 0))
    try:
        yield zone
    finally:
        transport.close()


@cache
def _private(bits: int) -> bytes:
    return _openssl("genrsa", "-traditional", str(bits))


def _openssl(*words: str, given: bytes = b"") -> bytes:
    done = subprocess.run([program("openssl", "openssl"), *words], input=given, capture_output=True, check=True)
    return done.stdout
