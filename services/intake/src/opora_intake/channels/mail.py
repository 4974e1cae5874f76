"""The e-mail channel of one process: its ports, and the desk behind them."""

import asyncio
import secrets
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import cast

from opora_chassis.platform import Platform
from opora_chassis.service import Loop
from opora_contracts.mail_threads import TokenKeys
from opora_intake.api.dependencies import rules_of
from opora_intake.channels.leased import watch
from opora_intake.channels.letters import LetterDesk, look_at_letters
from opora_intake.channels.listener import Door, listen
from opora_intake.channels.mailboxes import MailboxPoll, look_at_mailboxes
from opora_intake.channels.origin import Origin
from opora_intake.channels.recipients import Recipients
from opora_intake.domain.floods import FloodRules
from opora_intake.handlers.attachments import Files
from opora_intake.handlers.letters import LetterRules
from opora_intake.mail.authentication import OURSELVES
from opora_intake.settings import IntakeSettings


@dataclass(slots=True)
class MailChannel:
    """What the role `timers` runs where mail addresses or mailboxes are set."""

    platform: Platform
    files: Files | None = None
    woken: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def settings(self) -> IntakeSettings:
        """Intake's settings."""
        return cast("IntakeSettings", self.platform.settings)

    def loops(self) -> tuple[Loop, ...]:
        """A loop per port and per mailbox, and those that handle letters; none where no letters can come."""
        if not self.settings.takes_letters:
            return ()
        listeners = (
            Loop(f"listen_{channel}", partial(self._listen, channel, port))
            for channel, port in self.settings.mail_ports.items()
        )
        watched = partial(watch, database=self.platform.database, look=look_at_letters)
        return (
            Loop("handle_letters", self.desk().run),
            Loop("watch_letters", watched),
            *listeners,
            *self._polls(),
        )

    def _polls(self) -> list[Loop]:
        mailboxes = self.settings.intake_mailboxes
        if not mailboxes:
            return []
        threads = ThreadPoolExecutor(len(mailboxes), thread_name_prefix="imap")
        fetching = asyncio.Semaphore(self.settings.intake_mailbox_letters)
        database, clock = self.platform.database, self.platform.clock
        polls = [MailboxPoll(mailbox, database, clock, threads, fetching, self.woken) for mailbox in mailboxes]
        watched = partial(watch, database=database, look=look_at_mailboxes)
        return [
            *(Loop(f"poll_{poll.mailbox.name}", poll.run) for poll in polls),
            Loop("watch_mailboxes", watched),
        ]

    def desk(self) -> LetterDesk:
        """Who handles the letters."""
        settings = self.settings
        floods = FloodRules(settings.intake_mail_most_opened_an_hour, settings.intake_mail_most_appended_an_hour)
        # Without keys of its own the installation has made no token: none that comes can be true.
        keys = self.settings.token_keys or TokenKeys("a", {"a": secrets.token_bytes(32)})
        return LetterDesk(
            database=self.platform.database,
            clock=self.platform.clock,
            rules=LetterRules(keys, rules_of(self.platform), self._recipients.accepts, settings.mail_servers, floods),
            instance=self.settings.intake_mail_instance,
            readers=self.settings.intake_mail_readers,
            woken=self.woken,
            files=self.files,
            origin=self._origin(),
        )

    def _origin(self) -> Origin | None:
        if not self.settings.intake_mail_dkim:
            return None
        from opora_intake.channels.key_records import records_of

        believed = (self.settings.mail_servers or frozenset()) - {OURSELVES}
        return Origin(believed, records_of(self.settings.intake_mail_dns_servers))

    @property
    def _recipients(self) -> Recipients:
        return Recipients.of(self.settings.intake_mail_addresses)

    async def _listen(self, channel: str, port: int, stop: asyncio.Event) -> None:
        door = Door(
            channel=channel,
            database=self.platform.database,
            recipients=self._recipients,
            woken=self.woken,
            most_sessions=self.settings.intake_mail_connections,
            idle_seconds=self.settings.intake_mail_idle_seconds,
            session_seconds=self.settings.intake_mail_session_seconds,
        )
        await listen(door, self.settings.intake_mail_host, port, stop)
