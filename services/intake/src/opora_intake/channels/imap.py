"""The dialogue with one IMAP server (RFC 9051, RFC 3501), as far as taking letters out of a folder needs it.

Every function blocks and is called in a thread. Nothing is held that is larger than one letter: a message is fetched
in one piece of at most `MOST_BYTES`.
"""

import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from imapclient import IMAPClient, SocketTimeout
from imapclient.exceptions import IMAPClientAbortError, IMAPClientError, LoginError

from opora_intake.channels.mailbox import Afterwards, Mailbox, Security
from opora_intake.channels.mailbox_errors import MailboxError, MailboxRefusedError
from opora_intake.channels.oauth import Mechanism
from opora_intake.mail.limits import MOST_LETTER_BYTES

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 30.0
"""A server that says nothing for so long is away."""

MOST_BYTES = MOST_LETTER_BYTES + 1
"""So much of a larger message is fetched: enough to see that it is too large."""

_LONGEST_REASON = 300
_FAILURES = (IMAPClientError, OSError, EOFError)


@dataclass(frozen=True, slots=True)
class Folder:
    """What SELECT told."""

    uid_validity: int
    next_uid: int


class Session:
    """One connection, selected on the mailbox' folder. After an error it is of no more use."""

    def __init__(self, client: IMAPClient, mailbox: Mailbox) -> None:
        self._client = client
        self._mailbox = mailbox

    @classmethod
    def open(cls, mailbox: Mailbox, access_token: str | None = None) -> "Session":
        """Connect and log in, with the password or else the access token. Raises MailboxError."""
        with _told():
            client = _connected(mailbox)
        try:
            with _told():
                _log_in(client, mailbox, access_token)
                # Times with their zone, as the server gives them.
                client.normalise_times = False
        except MailboxError:
            _drop(client)
            raise
        return cls(client, mailbox)

    def close(self) -> None:
        """End the connection at once; a call that waits in another thread fails then."""
        _drop(self._client)

    def select(self) -> Folder:
        """Look at the folder anew. Raises MailboxRefusedError where there is none."""
        with _told(refused=f"there is no folder {self._mailbox.folder!r}, or it cannot be opened"):
            told = self._client.select_folder(
                self._mailbox.folder, readonly=self._mailbox.afterwards is Afterwards.KEEP
            )
            # A server need not tell it (RFC 3501 §6.3.1).
            next_uid = int(told[b"UIDNEXT"]) if b"UIDNEXT" in told else max(self._client.search("ALL"), default=0) + 1
        return Folder(int(told[b"UIDVALIDITY"]), next_uid)

    def unseen(self) -> list[int]:
        """The messages that nobody has read."""
        with _told():
            return sorted(self._client.search("UNSEEN"))

    def from_uid(self, uid: int) -> list[int]:
        """The messages with this UID or a greater one."""
        with _told():
            # `n:*` names the last message even when its UID is smaller (RFC 9051 §6.4.9).
            return sorted(found for found in self._client.search(["UID", f"{uid}:*"]) if found >= uid)

    def arrived_since(self, moment: datetime, earliest: date) -> list[int]:
        """The messages that the server has had since then; `earliest` is a day before it in every zone."""
        with _told():
            found = self._client.search(["SINCE", earliest])
            times = self._client.fetch(found, ["INTERNALDATE"]) if found else {}
        return sorted(uid for uid, told in times.items() if _aware(told[b"INTERNALDATE"]) >= moment)

    def fetch(self, uid: int) -> bytes | None:
        """The message's bytes without marking it as read, its beginning where it is too large; None when it is gone."""
        with _told():
            told = self._client.fetch([uid], [f"BODY.PEEK[]<0.{MOST_BYTES}>"]).get(uid)
        if told is None:
            return None
        return next((bytes(value) for name, value in told.items() if name.startswith(b"BODY[]")), None)

    def settle(self, uids: Sequence[int]) -> None:
        """Do with these messages what the settings say; for those that are gone nothing is done. Repeatable."""
        with _told(refused=f"there is no folder {self._mailbox.move_to!r} to move to"):
            match self._mailbox.afterwards:
                case Afterwards.KEEP:
                    pass
                case Afterwards.SEEN:
                    self._client.add_flags(uids, [rb"\Seen"], silent=True)
                case Afterwards.MOVE:
                    self._move(uids, self._mailbox.move_to)
                case Afterwards.DELETE:
                    self._delete(uids)

    def _move(self, uids: Sequence[int], folder: str | None) -> None:
        if self._client.has_capability("MOVE"):
            self._client.move(uids, folder)
        else:
            self._client.copy(uids, folder)
            self._delete(uids)

    def _delete(self, uids: Sequence[int]) -> None:
        self._client.delete_messages(uids, silent=True)
        # Without UIDPLUS an EXPUNGE would take what others have marked as well; the mark alone is enough then.
        if self._client.has_capability("UIDPLUS"):
            self._client.uid_expunge(uids)


def _connected(mailbox: Mailbox) -> IMAPClient:
    encrypted = mailbox.security is not Security.NONE
    context = ssl.create_default_context(cafile=mailbox.ca_file) if encrypted else None
    client = IMAPClient(
        mailbox.host,
        mailbox.server_port,
        ssl=mailbox.security is Security.TLS,
        ssl_context=context if mailbox.security is Security.TLS else None,
        timeout=SocketTimeout(CONNECT_SECONDS, ANSWER_SECONDS),
    )
    if mailbox.security is Security.STARTTLS:
        try:
            client.starttls(context)
        except Exception:
            _drop(client)
            raise
    return client


def _log_in(client: IMAPClient, mailbox: Mailbox, access_token: str | None) -> None:
    if mailbox.password is not None:
        client.login(mailbox.user, mailbox.password.get_secret_value())
    elif mailbox.oauth is not None and mailbox.oauth.mechanism is Mechanism.OAUTHBEARER:
        client.oauthbearer_login(mailbox.user, access_token)
    else:
        client.oauth2_login(mailbox.user, access_token)


def _drop(client: IMAPClient) -> None:
    with suppress(*_FAILURES):
        client.shutdown()


@contextmanager
def _told(refused: str | None = None) -> Iterator[None]:
    """Failures of the library as ours. `refused` says what a NO of the server means."""
    try:
        yield
    except LoginError as error:
        raise MailboxRefusedError(f"the server refuses the login: {_words(error)}") from error
    except (IMAPClientAbortError, OSError, EOFError) as error:
        raise MailboxError(f"{type(error).__name__}: {_words(error)}") from error
    except IMAPClientError as error:
        if refused is not None:
            raise MailboxRefusedError(f"{refused}: {_words(error)}") from error
        raise MailboxError(f"{type(error).__name__}: {_words(error)}") from error
    except Exception as error:
        # What no library expects of a server is that mailbox' trouble, and no other's.
        raise MailboxError(f"an answer that cannot be read: {type(error).__name__}: {_words(error)}") from error


def _words(error: BaseException) -> str:
    return "".join(sign if sign.isprintable() else " " for sign in str(error))[:_LONGEST_REASON]


def _aware(moment: Any) -> datetime:
    told: datetime = moment
    return told if told.tzinfo is not None else told.astimezone()
