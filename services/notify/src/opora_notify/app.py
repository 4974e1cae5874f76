"""How notify is put together."""

import asyncio
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import httpx

from opora_chassis.consume import Subscription
from opora_chassis.identifiers import new_id
from opora_chassis.platform import Platform
from opora_chassis.service import Loop, Parts, Service
from opora_contracts.customers import (
    CustomerDeliverable,
    CustomerMerged,
    CustomerRegistered,
    CustomerUndeliverable,
    CustomerUpdated,
)
from opora_contracts.topics import CUSTOMERS, FEEDBACK, SLA, TICKETS
from opora_contracts.vocabulary import MessageChannel
from opora_notify import api, directory_api, handlers, undeliverable_api
from opora_notify.backlog import watch_backlog
from opora_notify.channels import email, webhook
from opora_notify.channels.email import Mailbag
from opora_notify.handlers import Planning
from opora_notify.settings import NotifySettings, settings_of
from opora_notify.sources import Source, Sources
from opora_notify.worker import Delivery, Send


@dataclass(slots=True)
class Post:
    """The two delivery loops of one process. Their connections live as long as the loop that uses them."""

    platform: Platform
    settings: NotifySettings
    woken: dict[MessageChannel, asyncio.Event] = field(
        default_factory=lambda: {channel: asyncio.Event() for channel in MessageChannel}
    )

    def wake(self) -> None:
        """Tell the loops that messages are due."""
        for event in self.woken.values():
            event.set()

    async def deliver_mails(self, stop: asyncio.Event) -> None:
        """Deliver by e-mail until told to stop."""
        settings = self.settings
        mailbag = Mailbag(settings)
        async with httpx.AsyncClient(timeout=settings.send_timeout_seconds, trust_env=False) as client:
            sources = Sources(
                client,
                intake=Source("intake", settings.intake_url, settings.intake_key),
                feedback=Source("feedback", settings.feedback_url, settings.feedback_key),
            )
            send = partial(
                email.send, database=self.platform.database, sources=sources, mailbag=mailbag, settings=settings
            )
            try:
                await self._delivery(MessageChannel.EMAIL, send, settings.send_timeout_seconds).run(stop)
            finally:
                await mailbag.close()

    async def deliver_webhooks(self, stop: asyncio.Event) -> None:
        """Deliver by webhook until told to stop."""
        settings = self.settings
        timeout_seconds = settings.webhook_timeout_seconds
        async with httpx.AsyncClient(timeout=timeout_seconds, trust_env=False, follow_redirects=False) as client:
            send = partial(webhook.send, database=self.platform.database, client=client, settings=settings)
            await self._delivery(MessageChannel.WEBHOOK, send, timeout_seconds).run(stop)

    def _delivery(self, channel: MessageChannel, send: Send, attempt_seconds: float) -> Delivery:
        settings = self.settings
        return Delivery(
            channel=channel,
            send=send,
            database=self.platform.database,
            clock=self.platform.clock,
            retry_policy=settings.retry_policy,
            workers=settings.workers,
            attempt_seconds=attempt_seconds,
            lease_seconds=settings.lease_seconds,
            poll_seconds=settings.poll_seconds,
            woken=self.woken[channel],
        )


def compose(platform: Platform) -> Parts:
    """The parts that the roles run."""
    settings = settings_of(platform)
    post = Post(platform, settings)
    planning = Planning(stale_after=settings.stale_after, new_id=new_id, wake=post.wake)
    follow_tickets = partial(handlers.follow_tickets, planning=planning)
    follow_other_facts = partial(handlers.follow_other_facts, planning=planning)
    follow_customers = partial(handlers.follow_customers, planning=planning)
    return Parts(
        routers=(api.router, directory_api.router, undeliverable_api.router),
        subscriptions=(
            Subscription(topic=TICKETS, handle=follow_tickets, types=TICKETS.types),
            Subscription(topic=SLA, handle=follow_other_facts, types=SLA.types),
            Subscription(topic=FEEDBACK, handle=follow_other_facts, types=FEEDBACK.types),
            Subscription(
                topic=CUSTOMERS,
                handle=follow_customers,
                types=(
                    CustomerRegistered,
                    CustomerUpdated,
                    CustomerMerged,
                    CustomerUndeliverable,
                    CustomerDeliverable,
                ),
            ),
        ),
        loops=(
            Loop("deliver_mails", post.deliver_mails),
            Loop("deliver_webhooks", post.deliver_webhooks),
            Loop("watch_backlog", partial(watch_backlog, platform=platform)),
        ),
    )


SERVICE = Service(
    name="notify",
    settings=NotifySettings,
    migrations=Path(__file__).parent / "migrations",
    compose=compose,
)
