"""Customers, agents and foreign systems at work through the public interfaces. Each write is noted as an attempt.

A write is repeated under its key until it is answered or its author's patience is over; some have none. Whoever gives
up without an answer does not know what became of it, and neither does the journal.
"""

import asyncio
import time
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal
from uuid import UUID

import httpx
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from opora_chassis.clock import host_now
from opora_cli.chaos.record import Action, Attempt, Journal, Outcome
from opora_cli.chaos.stage import FIRST_RESPONSE_SECONDS
from opora_contracts.fact import Fact
from opora_contracts.publisher import Publisher, PublishError
from opora_contracts.requests import TicketReplySubmitted, TicketSubmitted
from opora_contracts.topics import REQUESTS

FOREIGN_SOURCE = "/chaos/monitoring"
_PATIENCE_SECONDS = 90.0
_NO_PATIENCE = 0.08
"""The share of writes that are tried once."""
_TWINS = 0.05
"""The share of writes that are sent twice at the same moment."""
_FOREIGN = 0.2
_BROKEN = 0.3
"""Of foreign cases, while there is poison."""
_WRITTEN_AGAIN = 0.5
"""Of foreign cases: the other system has more to say."""
_FORGOTTEN = 0.22
_JUST_IN_TIME = 0.18
_TWO_AT_ONCE = 0.3
"""Of answered cases: two agents write at the same moment."""
_ASSIGNED = 0.5
_HANDED_OVER = 0.3
"""Of assigned cases: another group gets them in the end."""
_HELD = 0.25
_UNRESOLVED = 0.1
_REOPENED = 0.12
_TRY_SECONDS = 8.0
_PAUSE_SECONDS = 0.3
_TRANSIENT = frozenset({500, 502, 503, 504})
_JUST_IN_TIME_SECONDS = 0.15


@dataclass(frozen=True, slots=True)
class Answer:
    """What a write came to."""

    outcome: Outcome
    status: int | None
    body: dict[str, Any]
    sent: int


@dataclass(slots=True)
class Driver:
    """The load: stories that begin at a steady rate until `stop`; then those under way come to their end."""

    intake_urls: list[str]
    kafka_bootstrap: str
    api_key: str
    journal: Journal
    random: Random
    stories_per_second: float
    poison: bool = False
    """Whether foreign systems publish a broken event now and then."""
    stories: int = 0
    """How many were told, those of the drivers before this one included: their numbers name the cases."""
    attempts: list[Attempt] = field(default_factory=list)
    _http: httpx.AsyncClient = field(init=False)
    _publisher: Publisher = field(init=False)
    _producer: AIOKafkaProducer = field(init=False)
    _stop: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._http = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {self.api_key}"},
            timeout=_TRY_SECONDS,
            limits=httpx.Limits(max_connections=100),
            trust_env=False,
        )
        self._producer = AIOKafkaProducer(bootstrap_servers=self.kafka_bootstrap, acks="all")
        self._publisher = Publisher(self.kafka_bootstrap, source=FOREIGN_SOURCE, deadline_seconds=30)

    @property
    def acknowledged(self) -> int:
        """How many writes were acknowledged."""
        return sum(1 for attempt in self.attempts if attempt.outcome is Outcome.ACKNOWLEDGED)

    def stop(self) -> None:
        """Begin no further story."""
        self._stop.set()

    async def work(self) -> None:
        """Tell stories until `stop`; returns when the last is told. Raises what a story raises."""
        clock = asyncio.get_running_loop()
        async with self._http, self._publisher, self._producer, asyncio.TaskGroup() as group:
            next_at = clock.time()
            while not self._stop.is_set():
                self.stories += 1
                group.create_task(self._tell(self.stories, Random(self.random.getrandbits(64))))
                next_at += self.random.expovariate(self.stories_per_second)
                try:
                    await asyncio.wait_for(self._stop.wait(), max(0.0, next_at - clock.time()))
                except TimeoutError:
                    continue

    async def _tell(self, number: int, random: Random) -> None:
        if random.random() < _FOREIGN:
            await self._tell_foreign(number, random)
        else:
            await self._tell_of_customer(number, random)

    async def _tell_of_customer(self, number: int, random: Random) -> None:
        opening = {
            "title": f"Case {number}",
            "body": "It does not work.",
            "requester_email": f"person-{number}@chaos.example",
            "channel": "web",
        }
        answer = await self._write(random, "customer", "create", "/v1/tickets", opening, None)
        ticket_id = answer.body.get("id")
        if ticket_id is None:
            return
        await self._serve(str(ticket_id), random)

    async def _serve(self, ticket_id: str, random: Random) -> None:
        """What agents and the customer do to a ticket; its author gives up where the answers end."""
        fate = random.random()
        if fate < _FORGOTTEN:
            return  # nobody answers: breached
        if fate < _FORGOTTEN + _JUST_IN_TIME:
            # Just in time, while everything that knows of it is still under way.
            await asyncio.sleep(FIRST_RESPONSE_SECONDS - random.uniform(0, _JUST_IN_TIME_SECONDS))
        else:
            await asyncio.sleep(random.uniform(0, FIRST_RESPONSE_SECONDS * 0.6))
        if random.random() < _TWO_AT_ONCE:
            await asyncio.gather(
                self._reply(ticket_id, random), self._act(ticket_id, random, "notes", {"body": "Known."})
            )
        else:
            await self._reply(ticket_id, random)
        if random.random() < _ASSIGNED:
            await self._act(ticket_id, random, "assign", {"group": "network"})
            if random.random() < _HANDED_OVER:
                await asyncio.sleep(random.uniform(0, 2))
                await self._act(ticket_id, random, "assign", {"group": "developers"})
        if random.random() < _HELD:
            whom = random.choice(("customer", "third_party"))
            await self._act(ticket_id, random, "hold", {"waiting_on": whom})
            await asyncio.sleep(random.uniform(0.2, 2))
            await self._act(ticket_id, random, "resume", {})
        if random.random() < _UNRESOLVED:
            return  # answered and then forgotten: the resolution is breached
        await asyncio.sleep(random.uniform(0, 2))
        await self._act(ticket_id, random, "resolve", {})
        if random.random() < _REOPENED:
            await self._act(ticket_id, random, "reopen", {})
            await self._act(ticket_id, random, "resolve", {})
        await self._act(ticket_id, random, "close", {})

    async def _reply(self, ticket_id: str, random: Random) -> None:
        await self._act(ticket_id, random, "replies", {"body": "Please try again."})

    async def _act(self, ticket_id: str, random: Random, action: Action, body: dict[str, Any]) -> None:
        await self._write(random, "agent", action, f"/v1/tickets/{ticket_id}/{action}", body, ticket_id)

    async def _write(  # noqa: PLR0917  the parts of one call
        self,
        random: Random,
        actor: Literal["customer", "agent"],
        action: Action,
        path: str,
        body: dict[str, Any],
        ticket_id: str | None,
    ) -> Answer:
        key = f"{random.getrandbits(96):024x}"
        patience = 0.0 if random.random() < _NO_PATIENCE else _PATIENCE_SECONDS
        started_at = host_now()
        answer = await self._insist(random, key, path, body, actor, patience)
        version = answer.body.get("version")
        self._note(
            Attempt(
                key=key,
                actor=actor,
                action=action,
                ticket_id=ticket_id or answer.body.get("id"),
                started_at=started_at,
                ended_at=host_now(),
                outcome=answer.outcome,
                sent=answer.sent,
                status=answer.status,
                version=version if isinstance(version, int) else None,
            )
        )
        return answer

    async def _insist(  # noqa: PLR0917  (same)
        self, random: Random, key: str, path: str, body: dict[str, Any], actor: str, patience_seconds: float
    ) -> Answer:
        headers = {"Idempotency-Key": key, "X-Opora-Actor": "agent:anna" if actor == "agent" else "customer:self"}
        give_up_at = time.monotonic() + patience_seconds
        sent, status, may_have_worked = 0, None, False
        while True:
            tries = 2 if random.random() < _TWINS else 1
            sent += tries
            results = await asyncio.gather(
                *(self._try(random.choice(self.intake_urls) + path, body, headers) for _ in range(tries))
            )
            for response in results:
                if response is None:
                    may_have_worked = True
                    continue
                status = response.status_code
                if response.is_success:
                    return Answer(Outcome.ACKNOWLEDGED, status, response.json(), sent)
                may_have_worked = may_have_worked or status in _TRANSIENT
            refused = [r for r in results if r is not None and r.status_code not in _TRANSIENT]
            if refused and not may_have_worked:
                return Answer(Outcome.REFUSED, status, {}, sent)
            if refused:
                # A refusal after a lost answer: the lost one may have had its effect, or not.
                return Answer(Outcome.UNKNOWN, status, {}, sent)
            if time.monotonic() >= give_up_at:
                return Answer(Outcome.UNKNOWN, status, {}, sent)
            await asyncio.sleep(_PAUSE_SECONDS * random.uniform(0.5, 1.5))

    async def _try(self, url: str, body: dict[str, Any], headers: dict[str, str]) -> httpx.Response | None:
        try:
            return await self._http.post(url, json=body, headers=headers)
        except httpx.TransportError:
            return None

    async def _tell_foreign(self, number: int, random: Random) -> None:
        """Another system opens a case, sometimes in several copies, and may write again about it."""
        external = f"alert-{number}"
        if self.poison and random.random() < _BROKEN:
            # What follows under its key has to wait behind it.
            await self._publish(random, "submit_broken", external, None)
        submitted = TicketSubmitted(title=f"Alert {number}", requester_email=f"system-{number}@chaos.example")
        if await self._publish(random, "submit", external, submitted) is not Outcome.ACKNOWLEDGED:
            return
        if random.random() < _WRITTEN_AGAIN:
            await asyncio.sleep(random.uniform(0, 3))
            await self._publish(random, "submit_reply", external, TicketReplySubmitted(body="Still so."))

    async def _publish(self, random: Random, action: Action, external: str, fact: Fact | None) -> Outcome:
        event_id = str(UUID(int=random.getrandbits(128), version=4))
        copies = random.choice((1, 1, 1, 2, 3))
        started_at, outcome = host_now(), Outcome.ACKNOWLEDGED
        for _ in range(copies):
            try:
                if fact is None:
                    await self._publish_broken(external, event_id)
                else:
                    await self._publisher.publish(fact, subject=external, id=event_id)
            except (PublishError, KafkaError):
                outcome = Outcome.UNKNOWN
        self._note(
            Attempt(
                key=event_id,
                actor="foreign",
                action=action,
                external=(FOREIGN_SOURCE, external),
                started_at=started_at,
                ended_at=host_now(),
                outcome=outcome,
                sent=copies,
            )
        )
        return outcome

    async def _publish_broken(self, external: str, event_id: str) -> None:
        """What only a producer without the contracts could send: a ticket without a title."""
        attributes = {
            "specversion": "1.0",
            "id": event_id,
            "source": FOREIGN_SOURCE,
            "type": TicketSubmitted.event_type,
            "subject": external,
            "time": host_now().isoformat(),
        }
        headers = [(f"ce_{name}", value.encode()) for name, value in attributes.items()]
        await self._producer.send_and_wait(REQUESTS.name, b'{"body": "Help!"}', external.encode(), headers=headers)

    def _note(self, attempt: Attempt) -> None:
        self.attempts.append(attempt)
        self.journal.write(attempt)
