"""Mailboxes are polled here: each by a loop of its own, so that none waits for another.

What a poll finds is noted first, then fetched message by message and kept, then the server is told. A process that dies
in between goes on where it was; a message that cannot be kept stays wanted and holds up no other. Times are real ones.
"""

import asyncio
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

import structlog
from prometheus_client import Counter, Gauge

from opora_chassis.back_off import back_off
from opora_chassis.clock import Clock
from opora_chassis.database import Database
from opora_chassis.errors import is_transient
from opora_chassis.identifiers import new_id
from opora_chassis.resting import rest
from opora_intake.channels.imap import Session
from opora_intake.channels.mailbox import Mailbox
from opora_intake.channels.mailbox_errors import MailboxError, MailboxRefusedError
from opora_intake.channels.oauth import Access, fetch_access
from opora_intake.handlers.mailboxes import Found, note_found, take_message
from opora_intake.store import mailboxes as store
from opora_intake.store.mailboxes import Position

_LEASE_SECONDS = 180.0
"""Longer than one call of the server may take."""

_CALL_SECONDS = 120.0
"""For one command and its whole answer, a letter of 25 MB included."""

_BASE_SECONDS = 2.0
_CAP_SECONDS = 60.0
_REFUSED_CAP_SECONDS = 600.0
"""Where somebody must change something first; servers lock accounts that try again and again."""

_PAGE = 100

MAILBOX_MESSAGES = Counter("opora_mailbox_messages_total", "Messages of polled mailboxes", ["mailbox", "outcome"])
MAILBOX_WANTED = Gauge("opora_mailbox_wanted", "Messages seen in a mailbox that are not kept yet", ["mailbox"])
MAILBOX_FAILING = Gauge("opora_mailbox_failing_seconds", "How long a mailbox could not be read; 0 is well", ["mailbox"])
log = structlog.get_logger()

T = TypeVar("T")


@dataclass(slots=True)
class MailboxPoll:
    """Takes the letters out of one mailbox."""

    mailbox: Mailbox
    database: Database
    clock: Clock
    threads: ThreadPoolExecutor
    """Where the dialogue waits; one for each mailbox at least."""
    fetching: asyncio.Semaphore
    """As many letters as may be in memory at a time, over all mailboxes."""
    woken: asyncio.Event
    """Set when a letter was kept."""
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    session: Session | None = None
    access: Access | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Poll until told to stop; what is under way then is given up, and is done again by whoever comes next."""
        self.stopping = stop
        lease_id = new_id()
        failures = 0
        for outcome in ("taken", "gone", "put_off"):
            MAILBOX_MESSAGES.labels(self.mailbox.name, outcome)
        try:
            while not stop.is_set():
                try:
                    await self._round(lease_id)
                except Exception as error:
                    if not isinstance(error, MailboxError) and not is_transient(error):
                        raise
                    self._drop()
                    if stop.is_set():
                        return
                    failures += 1
                    await self._failed(error)
                    await rest(stop, _pause_seconds(error, failures))
                else:
                    failures = 0
                    await rest(stop, self.mailbox.poll_seconds)
        finally:
            self._drop()
            await self._release(lease_id)

    async def _round(self, lease_id: UUID) -> None:
        position = await self._lease(lease_id)
        if position is None:
            self._drop()
            return
        if self.session is None:
            self.session = await self._opened()
        uid_validity = await self._look(self.session, position)
        # Those that a process before this one has kept, and of which the server does not know.
        await self._settle(self.session, uid_validity)
        after_uid, progress = 0, True
        while progress and not self.stopping.is_set():
            page = await store.open_messages(
                self.database, self.mailbox.name, uid_validity, "wanted", limit=_PAGE, after_uid=after_uid
            )
            for uid in page:
                if self.stopping.is_set() or await self._lease(lease_id) is None:
                    return
                await self._take(self.session, uid_validity, uid)
                after_uid = uid
            await self._settle(self.session, uid_validity)
            progress = bool(page)
        async with self.database.transaction() as tx:
            await store.save_health(tx, self.mailbox.name, error=None)

    async def _opened(self) -> Session:
        """A new connection. An access token that the server has refused is not shown to it again."""
        token = await self._access_token()
        try:
            return await self._call(lambda: Session.open(self.mailbox, token), unwanted=Session.close)
        except MailboxRefusedError:
            self.access = None
            raise

    async def _access_token(self) -> str | None:
        """The token to log in with; None where a password does.

        Another refresh token that the server gives is durable before anything is done with what came with it: it may
        be the only one that counts from then on.
        """
        oauth, name = self.mailbox.oauth, self.mailbox.name
        if oauth is None:
            return None
        if self.access is None or not self.access.is_usable:
            configured = None if oauth.refresh_token is None else oauth.refresh_token.get_secret_value()
            newest = configured
            if configured is not None:
                newest = await store.newest_refresh_token(self.database, name, configured) or configured
            access = await self._call(lambda: fetch_access(oauth, newest))
            if configured is not None and access.refresh_token is not None:
                async with self.database.transaction() as tx:
                    await store.save_refresh_token(tx, name, configured, access.refresh_token)
            self.access = access
        return self.access.token

    async def _look(self, session: Session, position: Position) -> int:
        """Note what is new in the folder; its UIDVALIDITY."""
        folder = await self._call(session.select)
        now = await self.database.now()
        first_contact_at = position.first_contact_at or now
        if position.uid_validity is None:
            # What was read before us is nobody's request any more.
            uids = await self._call(session.unseen)
        elif position.uid_validity != folder.uid_validity:
            log.warning("mailbox_numbered_anew", mailbox=self.mailbox.name, uid_validity=folder.uid_validity)
            earliest = (first_contact_at - timedelta(days=2)).date()
            again = await self._call(lambda: session.arrived_since(first_contact_at, earliest))
            uids = sorted({*again, *await self._call(session.unseen)})
        elif folder.next_uid <= position.next_uid:
            return folder.uid_validity
        else:
            uids = await self._call(lambda: session.from_uid(position.next_uid))
        async with self.database.transaction() as tx:
            await note_found(tx, self.mailbox.name, Found(folder.uid_validity, folder.next_uid, uids, first_contact_at))
        return folder.uid_validity

    async def _take(self, session: Session, uid_validity: int, uid: int) -> None:
        """Fetch one message and keep it. What fails for its own reasons stays wanted, and the next one is taken."""
        async with self.fetching:
            raw = await self._call(lambda: session.fetch(uid))
            try:
                async with self.database.transaction() as tx:
                    kept = await take_message(
                        tx, self.mailbox.name, uid_validity, uid, raw, address=self.mailbox.address
                    )
            except Exception as error:
                if is_transient(error):
                    raise
                log.exception("mailbox_message_put_off", mailbox=self.mailbox.name, uid=uid)
                MAILBOX_MESSAGES.labels(self.mailbox.name, "put_off").inc()
                return
        MAILBOX_MESSAGES.labels(self.mailbox.name, "gone" if kept is None else "taken").inc()
        self.woken.set()

    async def _settle(self, session: Session, uid_validity: int) -> None:
        """Tell the server of the messages that are kept."""
        name = self.mailbox.name
        while uids := await store.open_messages(self.database, name, uid_validity, "taken", limit=_PAGE):
            await self._call(partial(session.settle, uids))
            async with self.database.transaction() as tx:
                await store.save_messages(tx, name, uid_validity, uids, "settled")

    async def _lease(self, lease_id: UUID) -> Position | None:
        lease = self.clock.virtual(timedelta(seconds=_LEASE_SECONDS))
        async with self.database.transaction() as tx:
            return await store.lease_mailbox(tx, self.mailbox.name, lease_id, tx.now + lease)

    async def _release(self, lease_id: UUID) -> None:
        try:
            async with self.database.transaction() as tx:
                await store.release_mailbox(tx, self.mailbox.name, lease_id)
        except Exception as error:
            log.info("mailbox_left_to_its_lease", mailbox=self.mailbox.name, error=repr(error), exc_info=True)

    async def _call(self, work: Callable[[], T], *, unwanted: Callable[[T], None] | None = None) -> T:
        """Run a blocking call in a thread. Raises MailboxError when it takes too long, or the process is to stop.

        The connection is closed under such a call, so that it ends; what it gives all the same goes to `unwanted`.
        """
        running = asyncio.get_running_loop().run_in_executor(self.threads, work)
        stopped = asyncio.ensure_future(self.stopping.wait())
        awaited = False
        try:
            waits: set[asyncio.Future[Any]] = {running, stopped}
            await asyncio.wait(waits, timeout=_CALL_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            awaited = running.done()
            if awaited:
                return running.result()
        finally:
            stopped.cancel()
            if not awaited:
                self._drop()
                running.add_done_callback(partial(_abandoned, unwanted))
        raise MailboxError("given up, to stop" if self.stopping.is_set() else f"no answer within {_CALL_SECONDS:g} s")

    async def _failed(self, error: Exception) -> None:
        words = str(error) if isinstance(error, MailboxError) else type(error).__name__
        log.warning("mailbox_not_read", mailbox=self.mailbox.name, error=words)
        try:
            async with self.database.transaction() as tx:
                await store.save_health(tx, self.mailbox.name, error=words)
        except Exception as unsaved:
            log.info("mailbox_failure_not_saved", mailbox=self.mailbox.name, error=repr(unsaved), exc_info=True)

    def _drop(self) -> None:
        if self.session is not None:
            self.session.close()
            self.session = None


async def look_at_mailboxes(database: Database) -> None:
    """Show how the mailboxes stand."""
    now = await database.now()
    for standing in await store.list_mailboxes(database):
        name, since = standing.position.name, standing.position.failing_since
        MAILBOX_WANTED.labels(name).set(standing.wanted)
        MAILBOX_FAILING.labels(name).set(0 if since is None else database.clock.real_seconds(now - since))


def _abandoned(unwanted: Callable[[T], None] | None, ended: asyncio.Future[T]) -> None:
    """Take note of how the call ended, so that its failure is nobody's surprise."""
    if not ended.cancelled() and ended.exception() is None and unwanted is not None:
        unwanted(ended.result())


def _pause_seconds(error: Exception, failures: int) -> float:
    cap = _REFUSED_CAP_SECONDS if isinstance(error, MailboxRefusedError) else _CAP_SECONDS
    jitter = random.random()  # noqa: S311  spreads retries
    return back_off(failures, base_seconds=_BASE_SECONDS, cap_seconds=cap, jitter=jitter)
