"""A ticket's whole way, from the customer's request to the score of the agent who helped."""

import re
from collections.abc import Callable
from email.message import EmailMessage
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from opora_chassis.testing import wait_until
from tests.e2e.facts import Facts, watched_facts
from tests.e2e.stack import Stack

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE_ID}-00f067aa0ba902b7-01"
ADDRESS = "vera@romashka.example"
LINK = re.compile(r"https?://\S+/s/\S+/5\b")
WAY = [
    "ticket.created",
    "ticket.assessed",
    "ticket.assigned",
    "ticket.diagnosed",
    "ticket.planned",
    "ticket.replied",
    "ticket.held",
    "ticket.resumed",
    "ticket.replied",
    "ticket.replied",
    "ticket.resolved",
    "ticket.verified",
    "ticket.closed",
]


@pytest.mark.slow
async def test_a_ticket_goes_its_whole_way(platform: Stack, mails_to: Callable[[str], list[EmailMessage]]) -> None:
    """Seven steps over HTTP become numbered facts, kept clocks, letters in the customer's language and a score."""
    async with watched_facts(platform) as facts, platform.client("intake") as intake:
        customer = await registered(intake)
        ticket = await posted(
            intake,
            "/tickets",
            {
                "title": "Отчёты не открываются",
                "body": "С утра видим ошибку 502.",
                "requester_id": customer["id"],
                "channel": "web",
                "product": "Reports",
                "impact": "high",
                "urgency": "high",
            },
            traceparent=TRACEPARENT,
        )
        assert (ticket["priority"], ticket["language"], ticket["tier"]) == ("P1", "ru", "gold")
        await carried_out(intake, ticket["id"], customer["id"])
        await wait_until(lambda: facts.of("ticket.closed", ticket["id"]))
        expect_order(facts, ticket["id"])
        await expect_kept_clocks(platform, facts, ticket["id"])
        expect_traces(facts, ticket["id"])
        await wait_until(lambda: len(mails_to(ADDRESS)) == 5, what="five letters to the customer")
        survey = expect_letters(mails_to(ADDRESS), ticket["number"])
        await rated(survey)
        await wait_until(lambda: facts.of("feedback.received", ticket["id"]))
        received = facts.of("feedback.received", ticket["id"])[0].data
        assert (received.score, received.has_comment, received.assignee) == (5, True, "anna")
        await expect_score(platform)


async def registered(intake: httpx.AsyncClient) -> Any:
    """A customer whose address tells the organisation."""
    await posted(intake, "/organizations", {"name": "Ромашка", "tier": "gold", "domains": ["romashka.example"]})
    person = {"name": "Вера Светлова", "email": ADDRESS, "language": "ru", "time_zone": "Asia/Yekaterinburg"}
    return await posted(intake, "/customers", person)


async def carried_out(intake: httpx.AsyncClient, ticket: str, customer: str) -> None:
    """Everything between the request and the closing, by the people who do it."""
    anna, vera = "agent:anna", f"customer:{customer}"
    await posted(intake, f"/tickets/{ticket}/assess", {"impact": "high", "urgency": "high"}, actor=anna)
    await posted(intake, f"/tickets/{ticket}/assign", {"group": "web", "assignee": "anna"}, actor="agent:boris")
    await posted(intake, f"/tickets/{ticket}/diagnose", {"cause": "The proxy lost its upstream"}, actor=anna)
    await posted(intake, f"/tickets/{ticket}/plan", {"planned_for": "2030-01-15T09:00:00Z"}, actor=anna)
    await posted(intake, f"/tickets/{ticket}/replies", {"body": "В каком браузере?"}, actor=anna)
    await posted(intake, f"/tickets/{ticket}/hold", {"waiting_on": "customer"}, actor=anna)
    reply = {"body": "Ошибка во всех браузерах.", "author_kind": "customer", "channel": "web"}
    answered = await posted(intake, f"/tickets/{ticket}/replies", reply, actor=vera)
    assert answered["waiting_on"] is None
    await posted(intake, f"/tickets/{ticket}/replies", {"body": "Прокси починен, проверьте."}, actor=anna)
    await posted(intake, f"/tickets/{ticket}/resolve", {}, actor=anna)
    await posted(intake, f"/tickets/{ticket}/verify", {"verified_by": "customer"}, actor=anna)
    closed = await posted(intake, f"/tickets/{ticket}/close", {}, actor=anna)
    assert (closed["step"], closed["version"], closed["resolution_code"]) == ("closed", len(WAY), "solved")


def expect_order(facts: Facts, ticket: str) -> None:
    """The facts stand on the topic in the order in which they happened, numbered from 1."""
    told = [arrival.event for arrival in facts.arrivals if arrival.topic == "opora.tickets"]
    own = [event for event in told if event.subject == ticket]
    assert [event.type for event in own] == WAY
    assert [event.sequence for event in own] == list(range(1, len(WAY) + 1))
    assert [event.actor for event in own][1:4] == ["agent:anna", "agent:boris", "agent:anna"]


def expect_traces(facts: Facts, ticket: str) -> None:
    """The caller's trace goes through the ticket's fact to the fact that it caused in another service."""
    created = facts.of("ticket.created", ticket)[0]
    started = next(e for e in facts.of("sla.started", ticket) if e.data.metric == "resolution")
    assert created.traceparent is not None
    assert created.traceparent.split("-")[1] == TRACE_ID
    assert started.traceparent is not None
    assert started.traceparent.split("-")[1] == TRACE_ID
    assert (started.causation_id, started.correlation_id) == (created.id, created.id)


async def expect_kept_clocks(platform: Stack, facts: Facts, ticket: str) -> None:
    """Three clocks are met, and the reasons of the paused one name the events that stopped and started it."""
    clocks = ["first_response", "next_response", "resolution"]
    await wait_until(lambda: len(facts.of("sla.met", ticket)) == len(clocks), what="three clocks met")
    assert sorted(event.data.metric.value for event in facts.of("sla.started", ticket)) == clocks
    assert sorted(event.data.metric.value for event in facts.of("sla.met", ticket)) == clocks
    assert facts.of("sla.breached", ticket) == []
    created, held, resumed, resolved = (
        facts.of(f"ticket.{kind}", ticket)[0].id for kind in ("created", "held", "resumed", "resolved")
    )
    async with platform.client("sla") as sla:
        explained = (await sla.get(f"/tickets/{ticket}/explain")).raise_for_status().json()
    assert explained["agreement"]["name"] == "Standard support"
    (resolution,) = (clock for clock in explained["clocks"] if clock["metric"] == "resolution")
    assert (resolution["outcome"], resolution["target_seconds"]) == ("met", 4 * 3600)
    intervals = [(each["began_by"], each["ended_by"], each["counted"]) for each in resolution["intervals"]]
    paused = next(place for place, interval in enumerate(intervals) if not interval[2])
    assert intervals[paused] == (held, resumed, False)
    assert intervals[0][0] == created
    assert intervals[-1][1] == resolved
    assert all(counted for place, (_, _, counted) in enumerate(intervals) if place != paused)


def expect_letters(letters: list[EmailMessage], number: str) -> str:
    """The confirmation, two answers, the resolution and the question, all in Russian; returns the link to 5 stars."""
    texts = [plain_text(letter) for letter in letters]
    assert all(number in str(letter["Subject"]) for letter in letters)
    phrases = (
        "Мы получили ваше обращение",
        "В каком браузере?",
        "Прокси починен, проверьте.",
        f"Обращение {number} решено.",
        f"Обращение {number} закрыто. Насколько вы довольны",
    )
    assert [sum(phrase in text for text in texts) for phrase in phrases] == [1, 1, 1, 1, 1]
    assert {letter["To"].addresses[0].display_name for letter in letters} == {"Вера Светлова"}
    assert len({letter["Message-ID"] for letter in letters}) == len(letters)
    (link,) = (match[0] for text in texts for match in LINK.finditer(text))
    return link


def plain_text(letter: EmailMessage) -> str:
    """The part that every mail program shows."""
    part = letter.get_body(("plain",))
    assert isinstance(part, EmailMessage)
    text: str = part.get_content()
    return text


async def rated(link: str) -> None:
    """Open the link as a browser does, which records nothing, and send what its page sends."""
    async with httpx.AsyncClient(trust_env=False, timeout=30) as browser:
        page = await browser.get(link)
        assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert page.headers["content-language"] == "ru"
        address = urlsplit(link)
        form = f"{address.scheme}://{address.netloc}{address.path.rpartition('/')[0]}"
        thanks = await browser.post(form, data={"score": "5", "comment": "Быстро!"})
        assert thanks.status_code == 200


async def expect_score(platform: Stack) -> None:
    """The agent's score says how many answered."""
    async with platform.client("feedback") as feedback:
        scores = (await feedback.get("/scores", params={"by": "agent"})).raise_for_status().json()["items"]
    assert [(score["n"], score["mean"], score["csat"]) for score in scores if score["key"] == "anna"] == [(1, 5.0, 1.0)]


async def posted(
    intake: httpx.AsyncClient, path: str, body: Any, *, actor: str | None = None, traceparent: str | None = None
) -> Any:
    """The answer of a write that must succeed."""
    named = {"X-Opora-Actor": actor, "traceparent": traceparent}
    answer = await intake.post(path, json=body, headers={name: value for name, value in named.items() if value})
    assert answer.is_success, f"{path}: {answer.status_code} {answer.text}"
    return answer.json()
