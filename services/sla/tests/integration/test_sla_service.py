"""Sla as it runs: facts and marks in, facts and answers out."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from opora_chassis.identifiers import new_id
from opora_chassis.testing import running_service, wait_until
from opora_contracts.sla import SlaBreached, SlaCorrected
from opora_contracts.tickets import (
    TicketHeld,
    TicketNoted,
    TicketReplied,
    TicketResolved,
    TicketResumed,
    TicketUpdated,
)
from opora_contracts.vocabulary import AuthorKind, Channel, Evidence, Outcome, ResolutionCode, WaitingOn
from opora_embedded.testing import KafkaServer
from opora_sla.agreement import DEFAULT_AGREEMENT_ID, DEFAULT_DOCUMENT
from opora_sla.app import SERVICE
from opora_sla.timers import judge_due

RESOLUTION_ONLY: dict[str, Any] = {
    "name": "Four hours",
    "metrics": {"resolution": {"targets": {"P1": {"hours": 4}}, "warn_at_percent": [50]}},
}
SOURCE = {"conditions": {"external_source": ["log"]}}


def resolved(ticket_id: UUID) -> TicketResolved:
    return TicketResolved(ticket_id=ticket_id, cycle=1, resolution_code=ResolutionCode.SOLVED)


def held(ticket_id: UUID) -> TicketHeld:
    return TicketHeld(ticket_id=ticket_id, waiting_on=WaitingOn.CUSTOMER)


async def promise_four_hours(desk: Any) -> str:
    """An agreement of four hours to resolve, for tickets of the source `log`."""
    answer = await desk.service.client.post("/v1/agreements", json=RESOLUTION_ONLY | SOURCE)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def test_facts_become_clocks_with_their_reasons(sla: Any) -> None:
    """A ticket's life gives clocks under the default agreement, and each interval names the events that made it."""
    async with sla() as desk:
        ticket_id = await desk.create()
        replied = await desk.say(
            0.1,
            TicketReplied(
                ticket_id=ticket_id, message_id=new_id(), author_kind=AuthorKind.AGENT, channel=Channel.EMAIL
            ),
        )
        hold = await desk.say(1, held(ticket_id))
        resumption = await desk.say(2, TicketResumed(ticket_id=ticket_id))
        await desk.say(2.5, TicketNoted(ticket_id=ticket_id, message_id=new_id()))
        resolution = await desk.say(3, resolved(ticket_id))
        await desk.taken_in(ticket_id)

        told = await desk.told(ticket_id, 6)
        view = await desk.get(f"/v1/tickets/{ticket_id}")
        explained = await desk.get(f"/v1/tickets/{ticket_id}/explain")

    assert [(event.type, event.data.metric.value) for event in told] == [
        ("sla.started", "first_response"),
        ("sla.started", "resolution"),
        ("sla.met", "first_response"),
        ("sla.paused", "resolution"),
        ("sla.resumed", "resolution"),
        ("sla.met", "resolution"),
    ]
    assert [event.causation_id for event in told[2:]] == [replied, hold, resumption, resolution]
    assert view["agreement"] == {"id": str(DEFAULT_AGREEMENT_ID), "version": 1, "name": "Standard support"}
    by_metric = {clock["metric"]: clock for clock in view["clocks"]}
    assert by_metric["resolution"]["outcome"] == "met"
    assert by_metric["resolution"]["used_seconds"] == 2 * 3_600
    intervals = explained["clocks"][1]["intervals"]
    assert [(each["counted"], each["ended_by"]) for each in intervals] == [
        (True, hold),
        (False, resumption),
        (True, resolution),
    ]
    assert "hold for customer" in intervals[1]["words"]


async def test_a_breach_waits_for_the_watermark_and_is_declared_once_by_two_timers(
    sla: Any, kafka: KafkaServer, database: str
) -> None:
    """A due date long past breaches nothing until all facts before it are known; then once, whoever looks."""
    async with sla() as desk:
        await promise_four_hours(desk)
        late, in_time = await desk.create(external_source="log"), await desk.create(external_source="log")
        await desk.taken_in(late)
        await desk.mark(3.9)
        assert (await desk.get("/v1/clocks", outcome="breached"))["items"] == []
        async with running_service(SERVICE, kafka, database, roles=frozenset({"timers"}), topic_prefix=desk.prefix):
            await desk.say(3.9, resolved(in_time))
            await desk.mark(5)
            told = await desk.told(late, 3)
            answered = await desk.told(in_time, 3)
            await desk.mark(50)
            listed = await desk.get("/v1/clocks", outcome="breached", metric="resolution")

    assert [event.type for event in told] == ["sla.started", "sla.warning", "sla.breached"]
    breach = told[2].data
    assert isinstance(breach, SlaBreached)
    assert (breach.due_at, breach.evidence, breach.target_seconds) == (desk.at(4), Evidence.COMPLETE, 4 * 3_600)
    assert breach.detected_at > desk.at(24)
    assert told[2].time == breach.detected_at
    assert [event.type for event in answered] == ["sla.started", "sla.warning", "sla.met"]
    assert [each["ticket_id"] for each in listed["items"]] == [str(late)]


async def test_timers_that_stood_still_in_their_transaction_detect_no_breach_before_its_due_date(sla: Any) -> None:
    """The transaction began a minute before the due date; what it reads is complete until a second after it."""
    async with sla(roles=frozenset({"serve", "consume", "relay"})) as desk:
        await promise_four_hours(desk)
        now = (await desk.database.now() - desk.at(0)) / timedelta(hours=1)
        due = now + 1 / 60
        ticket_id = await desk.create(due - 4, external_source="log")
        await desk.taken_in(ticket_id)
        async with desk.database.transaction() as tx:
            assert tx.now < desk.at(due)
            await desk.mark(due + 1 / 3_600)
            assert await judge_due(tx, desk.service.platform.clock) == 1
        breach = (await desk.told(ticket_id, 3))[2].data

    assert isinstance(breach, SlaBreached)
    assert breach.due_at == desk.at(due)
    assert breach.detected_at == desk.at(due + 1 / 3_600)


async def test_without_news_a_breach_is_declared_with_incomplete_evidence_and_corrected_later(sla: Any) -> None:
    """Blind for too long, sla declares what looks breached and says so; the late truth corrects it."""
    async with sla(max_blind_seconds=0.5) as desk:
        await promise_four_hours(desk)
        ticket_id = await desk.create(external_source="log")
        told = await desk.told(ticket_id, 3)
        assert told[2].data.evidence is Evidence.INCOMPLETE
        await desk.say(3, resolved(ticket_id))
        told = await desk.told(ticket_id, 4)
        view = await desk.get(f"/v1/tickets/{ticket_id}")

    correction = told[3].data
    assert isinstance(correction, SlaCorrected)
    assert (correction.before, correction.after) == (Outcome.BREACHED, Outcome.MET)
    assert view["clocks"][0]["outcome"] == "met"


async def test_history_is_judged_by_its_own_time_and_joins_live_time(sla: Any) -> None:
    """An import is judged by its own watermark; outcomes stand in bulk; then what is open joins live time."""
    async with sla() as desk:
        await promise_four_hours(desk)
        history = {"import_id": "import-1", "external_source": "log"}
        in_time = await desk.create(external_id="INC-1", **history)
        late = await desk.create(1, external_id="INC-2", **history)
        still_open = await desk.create(8, external_id="INC-3", **history)
        await desk.say(3.5, resolved(in_time), import_id="import-1")
        for ticket_id in (in_time, late, still_open):
            await desk.taken_in(ticket_id)
        await desk.mark(60)
        await desk.mark(9, "import-1")
        told = await desk.told(late, 3)
        progress = await desk.get("/v1/imports/import-1")
        outcomes = await desk.get("/v1/outcomes", external_source="log")
        await desk.say(61, TicketUpdated(ticket_id=still_open, joined_live=True))
        joined = await desk.told(still_open, 3)

    assert {event.import_id for event in told} == {"import-1"}
    assert [(event.type, event.time) for event in told] == [
        ("sla.started", desk.at(1)),
        ("sla.warning", desk.at(3)),
        ("sla.breached", desk.at(5)),
    ]
    assert (progress["cases"], progress["facts_applied"], progress["not_joined"]) == (3, 4, 3)
    assert progress["waiting_for_judgement"] == 0
    assert set(map(datetime.fromisoformat, progress["watermarks"].values())) == {desk.at(9)}
    by_source_id = {each["source_id"]: each for each in outcomes["items"]}
    assert {name: each["metrics"]["resolution"]["outcome"] for name, each in by_source_id.items()} == {
        "INC-1": "met",
        "INC-2": "breached",
        "INC-3": "open",
    }
    assert by_source_id["INC-3"]["metrics"]["resolution"]["used_seconds"] == 3_600
    assert by_source_id["INC-1"]["priority"] == "P1"
    assert [event.type for event in joined] == ["sla.started", "sla.warning", "sla.breached"]
    assert joined[2].import_id is None


async def test_a_ticket_with_a_parked_fact_is_not_judged_by_timers(sla: Any) -> None:
    """What waits among the dead letters may be the answer: no breach until it is redriven."""
    async with sla() as desk:
        await promise_four_hours(desk)
        broken, healthy = await desk.create(external_source="log"), await desk.create(external_source="log")
        key = str(broken).encode()
        headers = [(name, value.encode()) for name, value in _headers(broken, sequence=2, at=desk.at(3)).items()]
        await desk.send(key, b"{not json", headers)
        await desk.taken_in(healthy)
        await desk.mark(10)
        await desk.told(healthy, 3)
        listed = await desk.get("/v1/clocks", outcome="breached")
        parked = await desk.database.fetchval("select count(*) from parked_keys where key = $1", str(broken))

    assert parked == 1
    assert [each["ticket_id"] for each in listed["items"]] == [str(healthy)]


def _headers(ticket_id: UUID, *, sequence: int, at: datetime) -> dict[str, str]:
    return {
        "ce_specversion": "1.0",
        "ce_id": str(new_id()),
        "ce_source": "/opora/intake",
        "ce_type": "ticket.resolved",
        "ce_time": at.isoformat(),
        "ce_subject": str(ticket_id),
        "ce_sequence": str(sequence),
        "content-type": "application/json",
    }


async def test_agreements_are_written_in_versions_and_tickets_pin_theirs(sla: Any) -> None:
    """The same document is the same version; a new one counts for tickets that are created from then on."""
    async with sla() as desk:
        client = desk.service.client
        agreement_id = await promise_four_hours(desk)
        assert await promise_four_hours(desk) == agreement_id
        before = await desk.create(external_source="log")
        await desk.taken_in(before)
        changed = RESOLUTION_ONLY | SOURCE | {"name": "Renamed"}
        for _ in range(2):
            answer = await client.put(f"/v1/agreements/{agreement_id}", json=changed)
            assert (answer.status_code, answer.json()["version"]) == (200, 2)
        after = await desk.create(external_source="log")
        await desk.taken_in(after)
        pins = [(await desk.get(f"/v1/tickets/{each}"))["agreement"] for each in (before, after)]
        newest = await desk.get(f"/v1/agreements/{agreement_id}")
        first = await desk.get(f"/v1/agreements/{agreement_id}", version=1)
        page = await desk.get("/v1/agreements", limit=1)
        rest = await desk.get("/v1/agreements", limit=1, cursor=page["next_cursor"])
        missing = await client.put(f"/v1/agreements/{new_id()}", json=changed)
        unknown_version = await client.get(f"/v1/agreements/{agreement_id}", params={"version": 3})

    assert [(each["version"], each["name"]) for each in pins] == [(1, "Four hours"), (2, "Renamed")]
    assert (newest["version"], first["document"]["name"]) == (2, "Four hours")
    assert newest["document"]["metrics"]["resolution"]["targets"] == {"P1": {"hours": 4}}
    assert [each["id"] for each in page["items"] + rest["items"]] == [str(DEFAULT_AGREEMENT_ID), agreement_id]
    assert rest["next_cursor"] is None
    assert (missing.status_code, unknown_version.status_code) == (404, 404)


async def test_bad_questions_get_clear_refusals(sla: Any) -> None:
    """Unknown ids, wrong words and foreign cursors are told apart."""
    unknown = "/v1/tickets/019a0000-0000-7000-8000-000000000000"
    async with sla(roles=frozenset({"serve"})) as desk:
        questions = {
            unknown: 404,
            f"{unknown}/explain": 404,
            "/v1/tickets/not-an-id": 404,
            "/v1/clocks?cursor=nonsense": 400,
            "/v1/clocks?outcome=lost": 422,
            "/v1/outcomes?cursor=nonsense": 400,
        }
        answers = {path: await desk.service.client.get(path) for path in questions}
    assert {path: answer.status_code for path, answer in answers.items()} == questions
    assert {answer.headers["content-type"] for answer in answers.values()} == {"application/problem+json"}


async def test_a_wrong_agreement_is_refused_by_field_and_needs_its_scope(sla: Any) -> None:
    """An unknown field is named; without a key nothing is written."""
    async with sla(roles=frozenset({"serve"})) as desk:
        client = desk.service.client
        wrong = await client.post("/v1/agreements", json=RESOLUTION_ONLY | {"colour": "red"})
        anonymous = await client.post("/v1/agreements", json=RESOLUTION_ONLY, headers={"Authorization": ""})
        listed = await desk.get("/v1/agreements")

    assert wrong.status_code == 422
    assert "colour" in wrong.text
    assert anonymous.status_code == 401
    assert [each["document"] for each in listed["items"]] == [DEFAULT_DOCUMENT.as_json()]


async def test_pages_of_clocks_lose_and_double_nothing(sla: Any) -> None:
    """Following the cursors gives every clock once, in order; the status counts them."""
    async with sla() as desk:
        tickets = [await desk.create() for _ in range(3)]
        for ticket_id in tickets:
            await desk.taken_in(ticket_id)
        items: list[Any] = []
        cursor: str | None = ""
        while cursor is not None:
            page = await desk.get("/v1/clocks", limit=2, **({"cursor": cursor} if cursor else {}))
            items, cursor = items + page["items"], page["next_cursor"]
        status = await desk.get("/v1/status")

    seen = [(each["ticket_id"], each["metric"]) for each in items]
    assert seen == sorted(
        (str(ticket_id), metric) for ticket_id in tickets for metric in ("first_response", "resolution")
    )
    assert (status["cases"], status["facts_applied"], status["clocks"]["resolution"]) == (3, 3, {"open": 3})


async def test_a_late_fact_with_an_older_time_corrects_what_was_said(sla: Any) -> None:
    """An agent logs a call of an hour ago after the breach was declared: one correction, no second breach."""
    async with sla() as desk:
        await promise_four_hours(desk)
        ticket_id = await desk.create(external_source="log")
        await desk.taken_in(ticket_id)
        await desk.mark(4.5)
        await desk.told(ticket_id, 3)
        await desk.say(1, held(ticket_id))
        told = await desk.told(ticket_id, 5)
        await desk.mark(20)
        await desk.say(21, TicketResumed(ticket_id=ticket_id))
        told = await desk.told(ticket_id, 6)
        await desk.mark(30)
        told = await desk.told(ticket_id, 7)

    assert [event.type for event in told[2:]] == [
        "sla.breached",
        "sla.paused",
        "sla.corrected",
        "sla.resumed",
        "sla.corrected",
    ]
    assert told[6].data.after is Outcome.BREACHED
    assert told[6].data.due_at == desk.at(24)


async def test_blind_seconds_and_lag_are_measured(sla: Any) -> None:
    """An operator sees how long sla has been without news."""
    async with sla() as desk:

        async def rises() -> bool:
            answer = await desk.service.client.get("/metrics")
            line = next(each for each in answer.text.splitlines() if each.startswith("opora_sla_blind_seconds "))
            return float(line.split()[1]) > 0.2

        await wait_until(rises, what="blind seconds rise without marks")
