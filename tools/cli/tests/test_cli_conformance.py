"""The conformance kit's judgement: what was seen of a case, held against the contract. No servers."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
import typer
from typer.testing import CliRunner

from opora_cli.conformance.command import as_document, chosen_cases, conformance
from opora_cli.conformance.judge import Seen, judge
from opora_cli.conformance.run import Report
from opora_cli.errors import CommandError
from opora_contracts import Event
from opora_contracts.conformance import CASES, Run
from opora_contracts.tickets import TicketCreated
from opora_contracts.vocabulary import Channel, Kind, Level, Priority

CASE = {case.name: case for case in CASES}
TICKET_ID = UUID("018f3a52-9b3c-7c5e-9d8c-2f6a41b7e003")
TICKET = {
    "id": str(TICKET_ID),
    "number": "OP-1042",
    "version": 1,
    "title": "Login page answers 502",
    "channel": "event",
    "kind": "incident",
    "impact": "medium",
    "urgency": "medium",
    "language": "en",
}
NAN = {"reason_code": "bad_json", "reason": "bad_json: the record's value holds NaN, which is not JSON"}


def created(**changes: Any) -> Event[TicketCreated]:
    """The fact that says that the ticket was opened."""
    data = TicketCreated(
        ticket_id=TICKET_ID,
        number="OP-1042",
        title="Login page answers 502",
        channel=Channel.EVENT,
        kind=Kind.INCIDENT,
        impact=Level.MEDIUM,
        urgency=Level.MEDIUM,
        priority=Priority.P3,
    )
    given: dict[str, Any] = {
        "id": "1",
        "source": "/opora/intake",
        "type": "ticket.created",
        "version": 1,
        "time": datetime(2026, 3, 2, tzinfo=UTC),
        "subject": str(TICKET_ID),
        "data": data,
    }
    return Event(**(given | changes))


OPENED = Seen(tickets=[TICKET], created=[created()])


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("minimal-binary", OPENED),
        ("same-event-twice", OPENED),
        ("reply", replace(OPENED, tickets=[{**TICKET, "version": 2}], messages=["", "Still 502 at 08:40."])),
        ("unknown-type", Seen()),
        ("nan", Seen(letters=[NAN])),
        ("two-megabytes", Seen(broker_refusal="MessageSizeTooLargeError", settled=False)),
        (
            "two-megabytes",
            Seen(letters=[{"reason_code": "too_large", "reason": "too_large: … at most 1048576 are allowed. …"}]),
        ),
    ],
)
def test_the_promised_answer_is_ok(name: str, seen: Seen) -> None:
    """What the contract promises for the case is accepted."""
    assert list(judge(CASE[name], seen).problems) == []


@pytest.mark.parametrize(
    ("name", "seen", "answer", "problem"),
    [
        (
            "nan",
            replace(OPENED, letters=[NAN]),
            "ticket OP-1042, dead letter bad_json",
            "tickets under its source and subject: 1, expected 0",
        ),
        ("nan", Seen(), "nothing", "dead letters: 0, expected 1"),
        ("nan", Seen(letters=[NAN, NAN]), "dead letter bad_json, dead letter bad_json", "dead letters: 2, expected 1"),
        (
            "nan",
            Seen(letters=[{**NAN, "reason_code": "handler_failed"}]),
            "dead letter handler_failed",
            "the dead letter's code is handler_failed, expected bad_json",
        ),
        (
            "nan",
            Seen(letters=[{**NAN, "reason": "bad_json: something is wrong"}]),
            "dead letter bad_json",
            "the dead letter's reason does not say 'holds NaN, which is not JSON'",
        ),
        ("nan", Seen(settled=False), "no answer", "intake did not get past the record in time"),
        (
            "nan",
            Seen(broker_refusal="MessageSizeTooLargeError"),
            "refused by the broker",
            "the broker did not take the record: MessageSizeTooLargeError",
        ),
        ("minimal-binary", Seen(), "nothing", "tickets under its source and subject: 0, expected 1"),
        (
            "minimal-binary",
            replace(OPENED, tickets=[TICKET, TICKET]),
            "ticket OP-1042, ticket OP-1042",
            "tickets under its source and subject: 2, expected 1",
        ),
        (
            "minimal-binary",
            replace(OPENED, tickets=[{**TICKET, "impact": "high"}]),
            "ticket OP-1042",
            "OP-1042 shows impact 'high', expected 'medium'",
        ),
        (
            "minimal-binary",
            replace(OPENED, created=[]),
            "ticket OP-1042",
            "facts on opora.tickets that say that OP-1042 was opened: 0, expected 1",
        ),
        (
            "minimal-binary",
            replace(OPENED, created=[created(source="/stranger")]),
            "ticket OP-1042",
            (
                "the fact on opora.tickets says ('/stranger', 'OP-1042', 'Login page answers 502'), which is not what"
                " intake's API shows"
            ),
        ),
        (
            "minimal-binary",
            replace(OPENED, letters=[NAN]),
            "ticket OP-1042, dead letter bad_json",
            "dead letters: 1, expected 0",
        ),
        (
            "same-event-twice",
            replace(OPENED, tickets=[{**TICKET, "version": 2}]),
            "ticket OP-1042",
            "facts of OP-1042: 2, expected 1",
        ),
        (
            "reply",
            replace(OPENED, tickets=[{**TICKET, "version": 2}], messages=["Something else"]),
            "ticket OP-1042",
            "OP-1042 does not have the message",
        ),
        ("unknown-type", OPENED, "ticket OP-1042", "tickets under its source and subject: 1, expected 0"),
        ("two-megabytes", Seen(), "nothing", "dead letters: 0, expected 1"),
    ],
)
def test_any_other_answer_is_a_problem_in_words(name: str, seen: Seen, answer: str, problem: str) -> None:
    """What differs from the contract is said precisely, with what was expected."""
    verdict = judge(CASE[name], seen)
    assert (verdict.ok, verdict.answer, list(verdict.problems)) == (False, answer, [problem])


def test_one_wrong_answer_or_stray_ticket_fails_the_run() -> None:
    """A run is well only when every case is, and nothing happened that no case asked for."""
    good, bad = judge(CASE["nan"], Seen(letters=[NAN])), judge(CASE["nan"], Seen())

    def report(*verdicts: Any, strays: tuple[str, ...] = ()) -> Report:
        return Report(run=Run("r1"), verdicts=verdicts, strays=strays, tickets=[], letters=[])

    assert report(good).ok
    assert not report(good, bad).ok
    assert not report(good, strays=("OP-1",)).ok
    document = as_document(report(good, bad))
    assert [case["ok"] for case in document["cases"]] == [True, False]
    assert (document["source"], document["cases"][0]["expected"]) == (
        "//conformance.example/r1",
        "dead letter bad_json",
    )


def test_cases_are_chosen_by_name_in_the_tables_order() -> None:
    """Without names all are taken; an unknown name is exit 2 and shows what is near."""
    assert chosen_cases(None) == chosen_cases([]) == list(CASES)
    assert [case.name for case in chosen_cases(["nan", "minimal-binary"])] == ["minimal-binary", "nan"]
    with pytest.raises(CommandError, match=r"no case is called depht-33; near: depth-33") as refused:
        chosen_cases(["depht-33"])
    assert refused.value.exit_code == 2


def test_without_a_platform_the_command_says_so(tmp_path: Any) -> None:
    """What is not given is taken from the platform in the directory; where none runs, that is exit 3."""
    app = typer.Typer()
    app.command()(conformance)
    result = CliRunner().invoke(app, ["--directory", str(tmp_path), "--only", "nan"])
    assert isinstance(result.exception, CommandError)
    assert (result.exception.exit_code, "no platform runs" in result.exception.message) == (3, True)
