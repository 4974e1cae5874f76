"""Access tokens for mailboxes (RFC 6749), by which IMAP servers let programs in without a password.

`fetch_access` blocks and is called in a thread. No secret stands in an error.
"""

import time
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, ConfigDict, SecretStr, StringConstraints, model_validator

from opora_intake.channels.mailbox_errors import MailboxError, MailboxRefusedError

_ANSWER_SECONDS = 15.0
_LIFE_SECONDS = 300.0
"""Of a token of which the server does not say how long it is good for."""
_SPARE_SECONDS = 60.0
"""A token that ends sooner is not used for a new login."""
_MOST_BYTES = 64 * 1024
_LONGEST_TOKEN = 16 * 1024
_LONGEST_REASON = 200
_BAD_REQUEST, _SERVER_ERRORS, _TOO_MANY = 400, 500, 429
_OK = 200


class Grant(StrEnum):
    """On what ground a token is asked for."""

    REFRESH_TOKEN = "refresh_token"  # noqa: S105  the name of a grant
    """A person has consented once (RFC 6749 §6)."""
    CLIENT_CREDENTIALS = "client_credentials"
    """The program itself may read the mailbox (RFC 6749 §4.4)."""


class Mechanism(StrEnum):
    """How the token is shown to the IMAP server."""

    XOAUTH2 = "xoauth2"
    OAUTHBEARER = "oauthbearer"
    """RFC 7628."""


class ClientProof(StrEnum):
    """How the program proves itself to the authorization server (RFC 6749 §2.3.1)."""

    POST = "post"
    BASIC = "basic"


class OAuth(BaseModel):
    """Where and how a mailbox' access tokens are got."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    token_url: Annotated[str, StringConstraints(max_length=2_000, pattern=r"^https?://[^\s#]+$")]
    """The authorization server's token endpoint; https, but to this machine."""
    client_id: Annotated[str, StringConstraints(min_length=1, max_length=500)]
    client_secret: SecretStr | None = None
    """Absent for a public client."""
    client_proof: ClientProof = ClientProof.POST
    grant: Grant = Grant.REFRESH_TOKEN
    refresh_token: SecretStr | None = None
    """The one that the consent gave. What the server gives in its place later is kept in the database."""
    scope: Annotated[str, StringConstraints(max_length=2_000)] | None = None
    """Such as https://outlook.office365.com/.default; absent: what was consented to."""
    mechanism: Mechanism = Mechanism.XOAUTH2

    @model_validator(mode="after")
    def _can_be_asked(self) -> Self:
        parts = urlsplit(self.token_url)
        if parts.scheme != "https" and not _is_here(parts.hostname or ""):
            raise ValueError(f"secrets go to {parts.hostname} in the open: take a token_url with https")
        if (self.grant is Grant.REFRESH_TOKEN) != (self.refresh_token is not None):
            raise ValueError("`refresh_token` is for the grant refresh_token, and needed there")
        if self.client_secret is None and (
            self.grant is Grant.CLIENT_CREDENTIALS or self.client_proof is ClientProof.BASIC
        ):
            raise ValueError("the grant client_credentials and the proof basic need a `client_secret`")
        return self


@dataclass(frozen=True, slots=True, repr=False)
class Access:
    """An access token, until when it is used for logins (by the monotonic clock), and what came with it."""

    token: str
    used_until: float
    refresh_token: str | None = None
    """The one that counts from now on, where the server gave another one."""

    @property
    def is_usable(self) -> bool:
        """Whether a login may begin with it."""
        return time.monotonic() < self.used_until


def fetch_access(oauth: OAuth, refresh_token: str | None) -> Access:
    """Ask for an access token. Raises MailboxRefusedError when somebody must change something, else MailboxError."""
    form = {"grant_type": oauth.grant.value, "client_id": oauth.client_id}
    if oauth.scope is not None:
        form["scope"] = oauth.scope
    if refresh_token is not None:
        form["refresh_token"] = refresh_token
    basic: httpx.BasicAuth | None = None
    if oauth.client_secret is not None:
        secret = oauth.client_secret.get_secret_value()
        if oauth.client_proof is ClientProof.BASIC:
            basic = httpx.BasicAuth(oauth.client_id, secret)
        else:
            form["client_secret"] = secret
    asked_at = time.monotonic()
    status, answer = _asked(oauth.token_url, form, basic)
    if status != _OK:
        raise _refusal(status, answer)
    token, kind, renewed = answer.get("access_token"), answer.get("token_type"), answer.get("refresh_token")
    if not _is_token(token) or not isinstance(kind, str) or kind.lower() != "bearer":
        raise MailboxRefusedError("the token endpoint gave no bearer token: is token_url right?")
    seconds = answer.get("expires_in", _LIFE_SECONDS)
    life = float(seconds) if isinstance(seconds, int | float) and 0 < seconds < 10**9 else _LIFE_SECONDS
    # Of a short life half is used.
    used_until = asked_at + max(life - _SPARE_SECONDS, life / 2)
    return Access(str(token), used_until, renewed if _is_token(renewed) and renewed != refresh_token else None)


def _asked(url: str, form: dict[str, str], basic: httpx.BasicAuth | None) -> tuple[int, dict[str, Any]]:
    """Status and JSON of the answer; a redirect is not followed, or secrets went where nobody sent them."""
    try:
        with (
            httpx.Client(timeout=_ANSWER_SECONDS, follow_redirects=False) as client,
            client.stream("POST", url, data=form, auth=basic, headers={"Accept": "application/json"}) as response,
        ):
            content = b""
            for part in response.iter_bytes():
                content += part
                if len(content) > _MOST_BYTES:
                    raise MailboxError(f"the token endpoint answered with more than {_MOST_BYTES} bytes")
            status = response.status_code
    except httpx.HTTPError as error:
        raise MailboxError(f"the token endpoint does not answer: {type(error).__name__}") from None
    return status, _document(content)


def _document(content: bytes) -> dict[str, Any]:
    try:
        answer = httpx.Response(_OK, content=content).json()
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}


def _refusal(status: int, answer: dict[str, Any]) -> MailboxError:
    said = " ".join(str(answer[name]) for name in ("error", "error_description") if answer.get(name))
    words = "".join(sign if sign.isprintable() else " " for sign in said)[:_LONGEST_REASON].strip()
    reason = f"the token endpoint answers {status}" + (f": {words}" if words else "")
    if status >= _SERVER_ERRORS or status == _TOO_MANY or answer.get("error") == "temporarily_unavailable":
        return MailboxError(reason)
    return MailboxRefusedError(reason)


def _is_token(given: object) -> bool:
    """Whether it is a token that can stand in a login: visible ASCII (RFC 6749 appendix A.12)."""
    return isinstance(given, str) and 0 < len(given) <= _LONGEST_TOKEN and given.isascii() and given.isprintable()


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
