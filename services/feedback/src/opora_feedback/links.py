"""Signed one-click links: who holds one may answer one survey until it expires. Pure: no I/O, no wall clock.

A token is base64url of 16 bytes of survey id, 8 bytes of expiry (Unix seconds) and the first 18 bytes of an
HMAC-SHA256 over both: 42 bytes, 56 characters, no padding and no spare bits, so a token has one spelling only.
"""

import base64
import binascii
import hashlib
import hmac
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

_PURPOSE = b"opora survey link v1\0"
_LAYOUT = struct.Struct(">16sQ")
_MAC_BYTES = 18
_TOKEN_CHARACTERS = 56


class BadTokenError(Exception):
    """The token was not made with any of the signing secrets, or was changed on its way."""


@dataclass(frozen=True, slots=True)
class Link:
    """What a token says: the survey, and the last instant (whole seconds) at which it may be answered."""

    survey_id: UUID
    expires_at: datetime


def sign(link: Link, secrets: Sequence[bytes]) -> str:
    """The token of a link, made with the first secret."""
    payload = _LAYOUT.pack(link.survey_id.bytes, int(link.expires_at.timestamp()))
    return base64.urlsafe_b64encode(payload + _mac(payload, secrets[0])).decode("ascii")


def verify(token: str, secrets: Sequence[bytes]) -> Link:
    """The link that a token stands for; any of the secrets may have signed it. Raises BadTokenError.

    Says nothing about expiry: the caller compares `expires_at` with the database's clock.
    """
    if len(token) != _TOKEN_CHARACTERS or not token.isascii():
        raise BadTokenError
    try:
        raw = base64.b64decode(token, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadTokenError from error
    payload, mac = raw[: _LAYOUT.size], raw[_LAYOUT.size :]
    # Every secret is tried in constant time, so that timing tells nothing about which one signed.
    genuine = [hmac.compare_digest(mac, _mac(payload, secret)) for secret in secrets]
    if not any(genuine):
        raise BadTokenError
    survey_id, expiry_seconds = _LAYOUT.unpack(payload)
    return Link(survey_id=UUID(bytes=survey_id), expires_at=datetime.fromtimestamp(expiry_seconds, UTC))


def address(public_url: str, token: str, score: int) -> str:
    """The address that rates with `score` in one click."""
    return f"{public_url.rstrip('/')}/s/{token}/{score}"


def _mac(payload: bytes, secret: bytes) -> bytes:
    return hmac.new(secret, _PURPOSE + payload, hashlib.sha256).digest()[:_MAC_BYTES]
