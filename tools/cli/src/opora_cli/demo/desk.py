"""The help desk at work: plays every script against the platform's public interfaces."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
from aiokafka import AIOKafkaProducer

from opora_cli.checks.gather import SurveyMail
from opora_cli.checks.history import Acknowledged
from opora_cli.client import RefusedError, ServiceClient
from opora_cli.demo.agreements import agreement_documents
from opora_cli.demo.day import DayClock
from opora_cli.demo.people import AGENTS, DESK_TIME_ZONE, GROUPS, ORGANIZATIONS, Person
from opora_cli.demo.scenario import MONITORING_SOURCE, Act, Scenario, Script
from opora_cli.endpoints import Endpoints
from opora_contracts.topics import REQUESTS

_PATH_OF = {"reply": "replies", "note": "notes"}
_LOOK_SECONDS = 0.1
_MAIL_LOOK_SECONDS = 0.25
_FOUND_SECONDS = 60.0
_SENT_TWICE_EVERY = 5
_PARALLEL_SET_UP = 16


@dataclass(slots=True)
class Desk:
    """The desk during one day. What it was told by the platform is kept for the checks."""

    endpoints: Endpoints
    scenario: Scenario
    clock: DayClock
    mail: SurveyMail
    acknowledged: list[Acknowledged] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    """Calls that the platform refused although the script was within the rules."""
    ratings_given: int = 0
    _intake: ServiceClient = field(init=False)
    _others: dict[str, ServiceClient] = field(init=False)
    _producer: AIOKafkaProducer | None = None
    _customer_ids: dict[str, str] = field(default_factory=dict)
    _by_number: dict[str, Script] = field(default_factory=dict)

    def __post_init__(self) -> None:
        key = self.endpoints.api_key
        self._intake = ServiceClient("intake", self.endpoints.services["intake"].url, key)
        self._others = {name: ServiceClient(name, self.endpoints.services[name].url, key) for name in ("sla", "notify")}

    async def set_up(self) -> None:
        """Tell the platform who there is and what was agreed."""
        self._producer = AIOKafkaProducer(bootstrap_servers=self.endpoints.kafka_bootstrap, acks="all")
        await self._producer.start()
        organization_ids = dict(
            zip(
                (organization.key for organization in ORGANIZATIONS),
                await _side_by_side(self._register_organization(each.key) for each in ORGANIZATIONS),
                strict=True,
            )
        )
        agreements = agreement_documents(self.clock.scale / self.clock.platform_scale)
        await _side_by_side(
            [
                *(self._others["sla"].post("/v1/agreements", document) for document in agreements),
                *(self._register_agent(agent.id) for agent in AGENTS),
                *(self._name_lead(group) for group in GROUPS),
                *(self._register_customer(person, organization_ids) for person in self.scenario.people),
            ]
        )

    async def work(self) -> None:
        """Play the whole day; returns when the last act is done and answered."""
        await asyncio.gather(*(self._play(script) for script in self.scenario.scripts))
        await self.clock.until(self.scenario.seconds)

    async def answer_surveys(self) -> None:
        """Read the customers' mail and rate as the scripts say, on and on, until cancelled.

        The rating goes through the page that the mail's link opens.
        """
        url = self.endpoints.services["feedback"].url
        async with httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as browser:
            while True:
                for number, token in await asyncio.to_thread(self.mail.look):
                    await self._rate(browser, number, token)
                await asyncio.sleep(_MAIL_LOOK_SECONDS)

    @property
    def ratings_to_give(self) -> int:
        """How many of the surveys mailed so far their readers mean to answer."""
        return sum(
            len(tokens)
            for number, tokens in self.mail.tokens.items()
            if number in self._by_number and self._by_number[number].rating is not None
        )

    async def close(self) -> None:
        """Disconnect."""
        if self._producer is not None:
            await self._producer.stop()
        for client in (self._intake, *self._others.values()):
            await client.close()

    async def _register_organization(self, key: str) -> str:
        organization = next(each for each in ORGANIZATIONS if each.key == key)
        answer = await self._intake.post(
            "/v1/organizations",
            {
                "name": organization.name,
                "tier": organization.tier,
                "time_zone": organization.time_zone,
                "domains": [f"{organization.key}.example"],
            },
            # The desk may come to a platform that knows it: the same answer again, not a refusal.
            key=f"desk-organization-{organization.key}",
        )
        return str(answer["id"])

    async def _register_customer(self, person: Person, organization_ids: dict[str, str]) -> None:
        answer = await self._intake.post(
            "/v1/customers",
            {
                "name": person.name,
                "email": person.email,
                "language": person.language,
                "time_zone": person.organization.time_zone,
                "organization_id": organization_ids[person.organization.key],
            },
        )
        self._customer_ids[person.email] = answer["id"]

    async def _register_agent(self, agent_id: str) -> None:
        agent = next(each for each in AGENTS if each.id == agent_id)
        await self._others["notify"].put(
            f"/v1/agents/{agent.id}",
            {
                "name": agent.name,
                "email": agent.email,
                "language": agent.language,
                "time_zone": DESK_TIME_ZONE,
                "groups": [agent.group],
            },
        )

    async def _name_lead(self, group: str) -> None:
        lead = next(agent for agent in AGENTS if agent.group == group and agent.is_lead)
        await self._others["notify"].put(f"/v1/groups/{group}", {"lead": lead.id})

    async def _play(self, script: Script) -> None:
        await self.clock.until(script.arrives_at_seconds)
        try:
            ticket = await (self._publish(script) if script.channel == "event" else self._submit(script))
        except RefusedError as error:
            self.refusals.append(error.message)
            return
        self._by_number[ticket["number"]] = script
        for act in script.acts:
            await self.clock.until(act.at_seconds)
            await self._do(ticket["id"], script, act)

    async def _submit(self, script: Script) -> dict[str, Any]:
        """Ask over HTTP: web, e-mail, chat, or an agent who writes down a phone call."""
        wording = script.story.wording(script.person.language)
        body = {
            "title": wording.title,
            "body": wording.body,
            "requester_email": script.person.email,
            "channel": script.channel,
            "kind": script.story.kind,
            "impact": script.story.impact,
            "urgency": script.story.urgency,
            "product": script.story.product,
            "category": script.story.category,
            "language": script.person.language,
        }
        actor = script.acts[0].actor if script.channel == "phone" and script.acts else self._customer(script)
        ticket: dict[str, Any] = await self._intake.post("/v1/tickets", body, actor=actor)
        self.acknowledged.append(Acknowledged(label=ticket["number"], ticket_id=ticket["id"]))
        return ticket

    async def _publish(self, script: Script) -> dict[str, Any]:
        """Ask as another system does: a CloudEvent on Kafka, now and then delivered twice."""
        if self._producer is None:
            raise RuntimeError("call set_up() first")
        wording = script.story.wording(script.person.language)
        data = {
            "title": wording.title,
            "body": wording.body,
            "requester_email": script.person.email,
            "language": script.person.language,
            "channel": "event",
            "kind": script.story.kind,
            "impact": script.story.impact,
            "urgency": script.story.urgency,
            "product": script.story.product,
            "category": script.story.category,
        }
        headers = [
            ("ce_specversion", b"1.0"),
            ("ce_id", f"{script.external_id}-opened".encode()),
            ("ce_source", MONITORING_SOURCE.encode()),
            ("ce_type", b"ticket.submitted"),
            ("ce_time", self.clock.now.isoformat().encode()),
            ("ce_subject", script.external_id.encode()),
            ("content-type", b"application/json"),
        ]
        value = json.dumps(data, ensure_ascii=False).encode()
        for _ in range(2 if script.index % _SENT_TWICE_EVERY == 0 else 1):
            await self._producer.send_and_wait(
                REQUESTS.name, value=value, key=script.external_id.encode(), headers=headers
            )
        self.acknowledged.append(
            Acknowledged(label=script.external_id, external=(MONITORING_SOURCE, script.external_id))
        )
        return await self._find(script)

    async def _find(self, script: Script) -> dict[str, Any]:
        """The ticket that intake made of the event; waits for it."""
        deadline = asyncio.get_running_loop().time() + _FOUND_SECONDS
        while asyncio.get_running_loop().time() < deadline:
            page = await self._intake.get(
                "/v1/tickets", external_source=MONITORING_SOURCE, external_id=script.external_id
            )
            if page["items"]:
                ticket: dict[str, Any] = page["items"][0]
                return ticket
            await asyncio.sleep(_LOOK_SECONDS)
        raise TimeoutError(f"{script.external_id} was published {_FOUND_SECONDS:.0f} s ago and has no ticket")

    async def _do(self, ticket_id: str, script: Script, act: Act) -> None:
        actor = self._customer(script) if act.actor == "customer" else act.actor
        data = {**act.data, "channel": _answer_channel(script)} if act.action == "reply" else act.data
        path = f"/v1/tickets/{ticket_id}/{_PATH_OF.get(act.action, act.action)}"
        try:
            await self._intake.post(path, data, actor=actor)
        except RefusedError as error:
            self.refusals.append(error.message)

    def _customer(self, script: Script) -> str:
        return f"customer:{self._customer_ids[script.person.email]}"

    async def _rate(self, browser: httpx.AsyncClient, number: str, token: str) -> None:
        script = self._by_number.get(number)
        if script is None or script.rating is None:
            return
        form = {"score": str(script.rating)} | ({"comment": script.comment} if script.comment else {})
        page = await _until_answered(lambda: browser.get(f"/s/{token}/{script.rating}"))
        answer = await _until_answered(lambda: browser.post(f"/s/{token}", data=form))
        if page.is_success and answer.is_success:
            self.ratings_given += 1
        else:
            self.refusals.append(f"the survey of {number} answered {page.status_code} and {answer.status_code}")


def _answer_channel(script: Script) -> str:
    return "email" if script.channel == "event" else script.channel


async def _side_by_side(calls: Any) -> list[Any]:
    """Make calls a few at a time; their answers in order."""
    room = asyncio.Semaphore(_PARALLEL_SET_UP)

    async def make(call: Awaitable[Any]) -> Any:
        async with room:
            return await call

    return list(await asyncio.gather(*(make(call) for call in calls)))


async def _until_answered(request: Callable[[], Awaitable[httpx.Response]]) -> httpx.Response:
    """A person reloads a page that does not open."""
    while True:
        try:
            response = await request()
        except httpx.TransportError:
            await asyncio.sleep(_LOOK_SECONDS)
            continue
        if response.status_code < httpx.codes.INTERNAL_SERVER_ERROR:
            return response
        await asyncio.sleep(_LOOK_SECONDS)
