"""What groups, third parties and updates make a running sla say, with a real database and broker."""

from __future__ import annotations

from typing import Any

from opora_chassis.testing import running_service, wait_until
from opora_contracts.commitments import CommitmentBreached, CommitmentCorrected, CommitmentMet
from opora_contracts.tickets import TicketAssigned, TicketDiagnosed, TicketHeld, TicketResolved, TicketResumed
from opora_contracts.vocabulary import Evidence, Outcome, ResolutionCode, WaitingOn
from opora_embedded.testing import KafkaServer
from opora_sla.app import SERVICE

HOUR = 3_600
FOUR_HOURS: dict[str, Any] = {"targets": {"P1": {"hours": 4}}, "warn_at_percent": []}
DOCUMENT: dict[str, Any] = {
    "name": "Between groups",
    "metrics": {"operational": {"network": FOUR_HOURS, "developers": FOUR_HOURS}, "underpinning": FOUR_HOURS},
    "conditions": {"external_source": ["log"]},
}


async def agree(desk: Any) -> str:
    answer = await desk.service.client.post("/v1/agreements", json=DOCUMENT)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def test_a_group_is_late_once_and_another_s_turn_is_its_own(sla: Any, kafka: KafkaServer, database: str) -> None:
    """A breach waits for the watermark and is declared once by two timers; what the next group does is kept apart."""
    async with sla() as desk:
        await agree(desk)
        ticket_id = await desk.create(external_source="log", group="network")
        await desk.taken_in(ticket_id)
        await desk.mark(3.9)
        before = (await desk.get("/v1/clocks", outcome="breached"))["items"]
        async with running_service(SERVICE, kafka, database, roles=frozenset({"timers"}), topic_prefix=desk.prefix):
            await desk.mark(5)
            await desk.told(ticket_id, 2)
            await desk.say(6, TicketAssigned(ticket_id=ticket_id, group="developers"))
            await desk.say(7, TicketHeld(ticket_id=ticket_id, waiting_on=WaitingOn.THIRD_PARTY))
            await desk.say(9, TicketResumed(ticket_id=ticket_id))
            await desk.say(10, TicketResolved(ticket_id=ticket_id, cycle=1, resolution_code=ResolutionCode.SOLVED))
            await desk.taken_in(ticket_id)
            await desk.mark(50)
            told = await desk.told(ticket_id, 8)
        view = await desk.get(f"/v1/tickets/{ticket_id}")
        listed = (await desk.get("/v1/clocks", metric="operational"))["items"]
        groups = (await desk.get("/v1/reports/compliance", by="group", metric="operational"))["rows"]
        parties = (await desk.get("/v1/reports/compliance", by="party"))["rows"]
        handled = (await desk.get("/v1/reports/times", by="group"))["rows"]

    assert before == []
    assert [(event.type, event.data.metric, event.data.cycle, event.data.party) for event in told] == [
        ("commitment.started", "operational", 1, "network"),
        ("commitment.breached", "operational", 1, "network"),
        ("commitment.started", "operational", 2, "developers"),
        ("commitment.paused", "operational", 2, "developers"),
        ("commitment.started", "underpinning", 1, "third_party"),
        ("commitment.resumed", "operational", 2, "developers"),
        ("commitment.met", "underpinning", 1, "third_party"),
        ("commitment.met", "operational", 2, "developers"),
    ]
    breach, met = told[1].data, told[7].data
    assert isinstance(breach, CommitmentBreached)
    assert (breach.due_at, breach.evidence, breach.group) == (desk.at(4), Evidence.COMPLETE, "network")
    assert isinstance(met, CommitmentMet)
    assert met.used_seconds == 2 * HOUR
    assert [(clock["metric"], clock["cycle"], clock["party"], clock["outcome"]) for clock in view["clocks"]] == [
        ("operational", 1, "network", "breached"),
        ("operational", 2, "developers", "met"),
        ("underpinning", 1, "third_party", "met"),
    ]
    assert [(clock["cycle"], clock["party"]) for clock in listed] == [(1, "network"), (2, "developers")]
    # The ticket is the developers' now: what the network owed is the network's all the same.
    assert [(row["key"], row["met"], row["breached"]) for row in groups] == [("developers", 1, 0), ("network", 0, 1)]
    assert [(row["key"], row["metric"], row["n"]) for row in parties] == [
        ("developers", "operational", 1),
        ("network", "operational", 1),
        ("third_party", "underpinning", 1),
    ]
    assert [(row["key"], row["handled_seconds_sum"]) for row in handled] == [
        ("developers", 2 * HOUR),
        ("network", 6 * HOUR),
    ]


async def test_a_late_assignment_corrects_whose_the_clock_was(sla: Any) -> None:
    """The row of the clock says what the world was told last, and it is told once."""
    async with sla() as desk:
        await agree(desk)
        ticket_id = await desk.create(external_source="log")
        await desk.say(2, TicketAssigned(ticket_id=ticket_id, group="network"))
        await desk.taken_in(ticket_id)
        await desk.mark(7)
        await desk.told(ticket_id, 2)
        await desk.say(1, TicketAssigned(ticket_id=ticket_id, group="developers"))
        await desk.taken_in(ticket_id)
        told = await desk.told(ticket_id, 5)
        listed = (await desk.get("/v1/clocks", metric="operational"))["items"]

    correction = told[4].data
    assert isinstance(correction, CommitmentCorrected)
    assert (correction.cycle, correction.party) == (1, "developers")
    assert (correction.before, correction.after) == (Outcome.BREACHED, Outcome.MET)
    assert [(clock["cycle"], clock["party"], clock["outcome"]) for clock in listed] == [
        (1, "developers", "met"),
        (2, "network", "breached"),
    ]


async def test_a_preview_foretells_what_groups_will_owe(sla: Any) -> None:
    """Open tickets under a draft with shorter turns, one group more and none for the third party."""
    shorter = {"targets": {"P1": {"hours": 1}}, "warn_at_percent": []}
    draft = DOCUMENT | {"metrics": {"operational": {"network": shorter, "developers": FOUR_HOURS, "desk": FOUR_HOURS}}}
    async with sla() as desk:
        agreement_id = await agree(desk)
        ticket_id = await desk.create(external_source="log", group="desk")
        await desk.say(1, TicketAssigned(ticket_id=ticket_id, group="network"))
        await desk.say(3, TicketHeld(ticket_id=ticket_id, waiting_on=WaitingOn.THIRD_PARTY))
        await desk.taken_in(ticket_id)
        path = f"/v1/agreements/{agreement_id}"
        answer = await desk.service.client.post(f"{path}/preview", json={"document": draft})
        await desk.service.client.put(path, json=draft)
        asked = (await desk.service.client.post(f"{path}/changes", json={})).json()

        async def done() -> bool:
            return (await desk.get(f"{path}/changes/{asked['id']}"))["finished_at"] is not None

        await wait_until(done)
        change = await desk.get(f"{path}/changes/{asked['id']}")
        told = await desk.told(ticket_id, 7)

    foreseen = answer.json()
    assert {
        (one["metric"], one["cycle"]): (one["effect"], (one["after"] or one["before"])["party"])
        for one in foreseen["changes"]
    } == {
        ("operational", 1): ("begun", "desk"),
        ("operational", 2): ("newly_breached", "network"),
        ("underpinning", 1): ("dropped", "third_party"),
    }
    assert change["effects"] == foreseen["effects"]
    assert [(event.type, event.data.metric, event.data.cycle, event.data.party) for event in told[3:]] == [
        ("commitment.started", "operational", 1, "desk"),
        ("commitment.met", "operational", 1, "desk"),
        ("commitment.breached", "operational", 2, "network"),
        ("commitment.corrected", "underpinning", 1, "third_party"),
    ]


async def test_the_time_in_each_step_is_told(sla: Any) -> None:
    """A diagnosis moves no clock and is kept: what came before it is not counted with what came after."""
    async with sla() as desk:
        await agree(desk)
        ticket_id = await desk.create(external_source="log", group="network")
        await desk.say(1, TicketDiagnosed(ticket_id=ticket_id))
        await desk.say(3, TicketResolved(ticket_id=ticket_id, cycle=1, resolution_code=ResolutionCode.SOLVED))
        await desk.taken_in(ticket_id)
        rows = (await desk.get("/v1/reports/times", by="step"))["rows"]

    assert [(row["key"], row["handled_seconds_sum"]) for row in rows] == [("received", HOUR), ("diagnosed", 2 * HOUR)]
