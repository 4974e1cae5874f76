"""Tokens of a web form's pages: made when a page is made, and sent back with what was written there. Pure.

A token proves that the sender asked for the page, and when; it makes what is sent twice one request. It holds no secret
of its own and is bound to one form.
"""

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from opora_intake.domain.errors import RuleBroken

_PURPOSE = b"opora web form 1\n"
_TIME_BYTES, _NONCE_BYTES, _MAC_BYTES = 6, 15, 15
NONCE_BYTES = _NONCE_BYTES
TOKEN_CHARACTERS = (_TIME_BYTES + _NONCE_BYTES + _MAC_BYTES) * 4 // 3
LIFE = timedelta(hours=24)
_AHEAD = timedelta(minutes=5)
"""Hosts whose clocks differ by less understand each other."""


class TokenFault(StrEnum):
    """Why a token is not taken."""

    FORGED = "forged"
    """It is none of this form."""
    EXPIRED = "expired"
    EARLY = "early"
    """The page was made a moment ago: no person writes so fast."""


@dataclass
class TokenRefused(RuleBroken):
    """The page has to be asked for again, or waited for."""

    fault: TokenFault
    wait_seconds: int = 0

    def __str__(self) -> str:
        if self.fault is TokenFault.EARLY:
            return f"Sent sooner than a person can write: send it again in {self.wait_seconds} s"
        return "The form has been open for too long, or its token is none of ours: get a new token and send again"


def make_token(secret: bytes, form: str, now: datetime, nonce: bytes) -> str:
    """The token of a page made now; `nonce` are 15 random bytes, of this page alone."""
    packed = int(now.timestamp()).to_bytes(_TIME_BYTES, "big") + nonce
    return base64.urlsafe_b64encode(packed + _mac(secret, form, packed)).decode("ascii")


def open_token(secret: bytes, form: str, token: str, now: datetime, *, minimum_seconds: int) -> bytes:
    """The nonce of a token that is taken now; compares in constant time. Raises TokenRefused."""
    nonce, made_at = _proven(secret, form, token)
    age = now - made_at
    if age > LIFE or age < -_AHEAD:
        raise TokenRefused(TokenFault.EXPIRED)
    early = minimum_seconds - age.total_seconds()
    if early > 0:
        raise TokenRefused(TokenFault.EARLY, int(early) + 1)
    return nonce


def _proven(secret: bytes, form: str, token: str) -> tuple[bytes, datetime]:
    try:
        raw = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        raise TokenRefused(TokenFault.FORGED) from None
    packed, mac = raw[: _TIME_BYTES + _NONCE_BYTES], raw[_TIME_BYTES + _NONCE_BYTES :]
    if len(token) != TOKEN_CHARACTERS or not hmac.compare_digest(mac, _mac(secret, form, packed)):
        raise TokenRefused(TokenFault.FORGED)
    seconds = int.from_bytes(packed[:_TIME_BYTES], "big")
    return packed[_TIME_BYTES:], datetime.fromtimestamp(seconds, UTC)


def _mac(secret: bytes, form: str, packed: bytes) -> bytes:
    return hmac.new(secret, _PURPOSE + form.encode() + b"\n" + packed, hashlib.sha256).digest()[:_MAC_BYTES]
