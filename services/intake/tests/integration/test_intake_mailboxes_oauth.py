"""Mailboxes without a password: access tokens from a real token endpoint, asked about by a real IMAP server."""

import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from pydantic import ValidationError

from opora_embedded.testing import PostgresServer
from opora_intake.channels.mailbox import Mailbox
from opora_intake.channels.mailbox_errors import MailboxError, MailboxRefusedError
from opora_intake.channels.oauth import OAuth, fetch_access
from opora_intake.store import mailboxes as store
from services.intake.tests.authorization_server import CLIENT, SECRET, AuthorizationServer
from services.intake.tests.imap_server import ImapServer, imap_server
from services.intake.tests.integration.test_intake_mailboxes import kept, polled, refusal
from services.intake.tests.mailroom import SUPPORT, letter, someone

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture(scope="module")
def authorization() -> Iterator[AuthorizationServer]:
    server = AuthorizationServer()
    yield server
    server.close()


@pytest.fixture(scope="module")
def server(authorization: AuthorizationServer) -> Iterator[ImapServer]:
    with imap_server(f"{authorization.url}/introspect") as running:
        yield running


@pytest.fixture
def user(authorization: AuthorizationServer) -> str:
    """Somebody with an empty account, who is the one for whom tokens are given."""
    authorization.user, authorization.expires_in, authorization.instead = uuid4().hex[:12], 3600, None
    authorization.access.clear()
    authorization.refresh.clear()
    authorization.asked.clear()
    return authorization.user


def oauth(authorization: AuthorizationServer, **fields: Any) -> dict[str, Any]:
    """How tokens are got, as the settings say it."""
    return {"token_url": f"{authorization.url}/token", "client_id": CLIENT, "client_secret": SECRET} | fields


def mailbox(server: ImapServer, user: str, **fields: Any) -> Mailbox:
    """The account without a password."""
    return server.mailbox(user, password=None, oauth=fields)


@pytest.mark.parametrize("mechanism", ["xoauth2", "oauthbearer"])
@pytest.mark.parametrize("grant", ["refresh_token", "client_credentials"])
async def test_letters_are_taken_with_an_access_token(
    postgres: PostgresServer,
    server: ImapServer,
    authorization: AuthorizationServer,
    user: str,
    *,
    mechanism: str,
    grant: str,
) -> None:
    """By either grant and either mechanism; one token is asked for, however often is polled."""
    first, second = letter(someone()), letter(someone())
    server.put(user, first)
    fields: dict[str, Any] = {"mechanism": mechanism, "grant": grant, "scope": "https://mail.example/.default"}
    if grant == "refresh_token":
        fields |= {"refresh_token": authorization.consent(), "client_proof": "basic"}
    box = mailbox(server, user, **oauth(authorization, **fields))
    async with polled(postgres, box) as (room, running), running():
        assert await kept(room, 1) == [first]
        server.put(user, second)
        assert await kept(room, 2) == [first, second]
    (asked,) = authorization.asked
    assert (asked["grant_type"], asked["scope"]) == (grant, "https://mail.example/.default")
    assert ("client_secret" in asked) == (grant == "client_credentials")


async def test_a_refresh_token_that_was_replaced_is_known_to_the_next_process(
    postgres: PostgresServer, server: ImapServer, authorization: AuthorizationServer, user: str
) -> None:
    """The server takes each one once; a restart goes on with the newest, and another configured one counts anew."""
    configured = authorization.consent()
    box = mailbox(server, user, **oauth(authorization, refresh_token=configured))
    async with polled(postgres, box) as (room, running):
        letters = []
        for _ in range(3):
            letters.append(letter(someone()))
            server.put(user, letters[-1])
            async with running():
                assert await kept(room, len(letters)) == letters
        given = [asked["refresh_token"] for asked in authorization.asked]
        assert given[0] == configured
        assert len(set(given)) == 3
        assert await store.newest_refresh_token(room.database, user, configured) in authorization.refresh
        assert await store.newest_refresh_token(room.database, user, "another one") is None


async def test_a_token_that_is_no_longer_taken_is_replaced(
    postgres: PostgresServer, server: ImapServer, authorization: AuthorizationServer, user: str
) -> None:
    """One that the server does not take any more is shown once and replaced, and nothing of the mailbox is lost."""
    box = mailbox(server, user, **oauth(authorization, refresh_token=authorization.consent()))
    letters = [letter(someone()) for _ in range(2)]
    server.put(user, letters[0])
    async with polled(postgres, box) as (room, running), running():
        assert await kept(room, 1) == letters[:1]
        authorization.access.clear()
        server.drop_connections()
        server.put(user, letters[1])
        assert await kept(room, 2) == letters
    assert len(authorization.asked) == 2


async def test_a_consent_that_is_gone_is_told_and_no_secret_with_it(
    postgres: PostgresServer, server: ImapServer, authorization: AuthorizationServer, user: str
) -> None:
    """The mailbox says why it cannot be read, in the words of the server and on one line."""
    box = mailbox(server, user, **oauth(authorization, refresh_token="refresh-of-last-year"))
    async with polled(postgres, box) as (room, running), running():
        told = await refusal(room, user)
    assert told == "the token endpoint answers 400: invalid_grant consent again"


@pytest.mark.parametrize(
    ("status", "content", "error", "said"),
    [
        (500, b"oops", MailboxError, "answers 500"),
        (429, b"{}", MailboxError, "answers 429"),
        (503, b'{"error": "temporarily_unavailable"}', MailboxError, "temporarily_unavailable"),
        (401, b'{"error": "invalid_client"}', MailboxRefusedError, "invalid_client"),
        (302, b"", MailboxRefusedError, "answers 302"),
        (200, b"<html>", MailboxRefusedError, "no bearer token"),
        (200, b"[" * 60_000, MailboxRefusedError, "no bearer token"),
        (200, b'{"access_token": "a\\u0001b", "token_type": "Bearer"}', MailboxRefusedError, "no bearer token"),
        (200, b'{"access_token": "ab", "token_type": "mac"}', MailboxRefusedError, "no bearer token"),
        (200, b'{"access_token": 7, "token_type": "Bearer"}', MailboxRefusedError, "no bearer token"),
        (200, b" " * 70_000, MailboxError, "more than 65536 bytes"),
    ],
)
async def test_whatever_a_token_endpoint_answers_is_told_apart(
    authorization: AuthorizationServer, user: str, *, status: int, content: bytes, error: type[Exception], said: str
) -> None:
    """What passes is tried again soon, what somebody must change is told as that; no answer is followed elsewhere."""
    assert user
    authorization.instead = lambda: (status, content)
    settings = OAuth.model_validate(oauth(authorization, refresh_token="r-secret"))
    with pytest.raises(error, match=said) as caught:
        fetch_access(settings, "r-secret")
    assert type(caught.value) is error
    assert len(authorization.asked) == 1
    for secret in ("r-secret", SECRET):
        assert secret not in str(caught.value)
        assert secret not in repr(settings)


@pytest.mark.parametrize(
    ("expires_in", "least", "most"), [(3600, 3500, 3541), (60, 29, 30.5), ("soon", 239, 241), (-1, 239, 241)]
)
async def test_a_token_is_used_for_as_long_as_it_is_good(
    authorization: AuthorizationServer, user: str, *, expires_in: Any, least: float, most: float
) -> None:
    """Up to a minute before its end, half of a short life, and five minutes less one where nothing is said."""
    assert user
    authorization.expires_in = expires_in
    settings = OAuth.model_validate(oauth(authorization, grant="client_credentials"))
    before = time.monotonic()
    access = fetch_access(settings, None)
    assert least - 60 <= access.used_until - time.monotonic()
    assert access.used_until - before <= most + 60
    assert access.is_usable


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"token_url": "http://login.example/token", "refresh_token": "r"}, "https"),
        ({"token_url": "https://login.example/token"}, "refresh_token"),
        ({"token_url": "https://x.example/t", "grant": "client_credentials", "client_secret": None}, "client_secret"),
        ({"token_url": "https://x.example/t", "grant": "client_credentials", "refresh_token": "r"}, "refresh_token"),
    ],
)
async def test_settings_that_cannot_work_are_refused(fields: dict[str, Any], said: str) -> None:
    """Secrets in the open, a grant without its ground, and a mailbox with both or neither are refused at the start."""
    given = {"client_id": CLIENT, "client_secret": SECRET} | fields
    with pytest.raises(ValidationError, match=said):
        OAuth.model_validate(given)
    account = {"name": "a", "address": SUPPORT, "host": "imap.example", "user": "a"}
    good = {"token_url": "https://x.example/t", "client_id": "x", "refresh_token": "r"}
    for wrong in ({}, {"password": "p", "oauth": good}):
        with pytest.raises(ValidationError, match="not both"):
            Mailbox.model_validate(account | wrong)
