"""What the payloads of each sender say: read without a database."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from opora_contracts.vocabulary import AuthorKind, Level
from opora_intake.domain.hook_sources import HookRules
from opora_intake.domain.hooks import QUARANTINE_KEY, HookReading, Ignored, Signal, Turn, Unread
from opora_intake.hooks.payload import key_of
from opora_intake.hooks.reading import read_delivery
from services.intake.tests import hook_payloads as sent

ROOT = Path(__file__).parents[3]
DATA = Path(os.environ.get("OPORA_DATA", ROOT.parent / "shared" / "data")) / "webhooks"
MAPPING = {
    "key": "/door/id",
    "title": "/text",
    "body": "/more/0",
    "severity": "/level",
    "state": "/state",
    "url": "/a~1b~0c",
    "ignored_values": ["test"],
    "details": {"Building": "/door/building"},
}


def rules(kind: str, **fields: Any) -> HookRules:
    return HookRules.model_validate({"kind": kind, **fields})


def read(kind: str, payload: Any, headers: dict[str, str] | None = None, **fields: Any) -> HookReading:
    return read_delivery(json.dumps(payload).encode(), headers or {}, rules(kind, **fields))


def said(kind: str, payload: Any, headers: dict[str, str] | None = None, **fields: Any) -> Signal:
    reading = read(kind, payload, headers, **fields)
    assert isinstance(reading, tuple), reading
    (signal,) = reading
    return signal


def public(name: str) -> Any:
    path = DATA / name
    if not path.exists():
        pytest.skip(
            f"the public webhooks are not here: set OPORA_DATA to a folder that holds webhooks/ (looked in {DATA})"
        )
    return json.loads(path.read_text("utf-8"))


def test_a_group_of_alerts_is_one_case_with_its_alerts_as_parts() -> None:
    """The group's key names the case; title, labels, annotations and links are readable text."""
    first, second = sent.alert(), sent.alert(instance="db-2:9100")
    signal = said("alertmanager", sent.alertmanager(first, second))
    assert (signal.key, signal.turn) == ('{}:{group="disk"}', Turn.BEGINS)
    assert signal.title == "DiskFull (2 alerts)"
    assert signal.parts == {first["fingerprint"]: True, second["fingerprint"]: True}
    for line in (
        "Firing: DiskFull since 2026-03-02T08:14:05.120Z",
        "summary: The disk is full",
        "instance: db-2:9100",
        "Source: https://prometheus.example.org/graph?g0.expr=disk",
        "Sent by: https://alertmanager.example.org",
    ):
        assert line in signal.body.splitlines()
    assert said("alertmanager", sent.alertmanager(first)).title == "DiskFull: The disk is full"


def test_a_group_is_over_when_its_last_alert_is() -> None:
    """One alert that still fires keeps it; the parts say which ended."""
    fires, over = sent.alert(), sent.alert(over=True, instance="db-2:9100")
    mixed = said("alertmanager", sent.alertmanager(fires, over))
    assert (mixed.turn, mixed.parts) == (Turn.BEGINS, {fires["fingerprint"]: True, over["fingerprint"]: False})
    assert mixed.news.startswith("1 firing, 1 resolved.")
    assert said("alertmanager", sent.alertmanager(over)).turn is Turn.ENDS


def test_each_alert_can_be_a_case_of_its_own() -> None:
    """With one_ticket_per alert, by their fingerprints, each with its own end."""
    fires, over = sent.alert(), sent.alert(over=True, instance="db-2:9100")
    reading = read("alertmanager", sent.alertmanager(fires, over), one_ticket_per="alert")
    assert isinstance(reading, tuple)
    assert {signal.key: signal.turn for signal in reading} == {
        fires["fingerprint"]: Turn.BEGINS,
        over["fingerprint"]: Turn.ENDS,
    }


@pytest.mark.parametrize(
    ("labels", "severities", "expected"),
    [
        (["critical"], {}, (Level.HIGH, Level.HIGH)),
        (["info", "warning"], {}, (Level.MEDIUM, Level.MEDIUM)),
        (["whatever"], {}, (Level.MEDIUM, Level.MEDIUM)),
        (["SEV0", "info"], {"sev0": {"impact": "high", "urgency": "low"}}, (Level.HIGH, Level.LOW)),
    ],
)
def test_the_gravest_severity_counts(labels: list[str], severities: Any, expected: tuple[Level, Level]) -> None:
    """By the source's own meanings first, then by the usual ones."""
    alerts = [sent.alert(severity=label, instance=label) for label in labels]
    payload = sent.alertmanager(*alerts)
    signal = said("alertmanager", payload, severities=severities)
    assert rules("alertmanager", severities=severities).levels_of(signal.severity) == expected


def test_grafana_is_read_in_both_forms() -> None:
    """The form of Alertmanager with Grafana's title, and the one alert of the time before."""
    signal = said("grafana", sent.grafana(sent.alert("Cpu")))
    assert (signal.turn, signal.title) == (Turn.BEGINS, "Cpu: The disk is full")
    legacy = {"ruleId": 9, "ruleName": "Cpu", "state": "alerting", "message": "It burns", "evalMatches": []}
    assert said("grafana", legacy).title == "Cpu"
    assert said("grafana", legacy | {"state": "ok"}).turn is Turn.ENDS
    assert said("grafana", legacy | {"state": "ok"}).key == said("grafana", legacy).key
    assert isinstance(read("grafana", legacy | {"state": "paused"}), Ignored)


@pytest.mark.parametrize(
    ("action", "turn", "may_open"),
    [
        ("created", Turn.BEGINS, True),
        ("unresolved", Turn.BEGINS, True),
        ("resolved", Turn.ENDS, False),
        ("assigned", Turn.TELLS, False),
    ],
)
def test_an_issue_of_sentry_begins_goes_on_and_ends(action: str, turn: Turn, may_open: bool) -> None:
    """What happens to it otherwise is told on its ticket, and opens none."""
    signal = said("sentry", sent.sentry_issue(action), {"sentry-hook-resource": "issue"})
    assert (signal.key, signal.turn, signal.may_open) == ("issue/4509", turn, may_open)
    assert signal.title == "KeyError: 'basket'"
    assert "Issue: https://example.sentry.io/issues/4509/" in signal.body.splitlines()


def test_sentrys_other_messages() -> None:
    """A metric alert is a case of its own, a comment is told, and an installation is nothing for support."""
    alert = {"action": "critical", "data": {"metric_alert": {"id": "5"}, "description_title": "Too slow"}}
    assert said("sentry", alert, {"sentry-hook-resource": "metric_alert"}).severity == "critical"
    comment = {"action": "created", "data": {"comment": "Mine.", "issue_id": 4509, "comment_id": 1}}
    told = said("sentry", comment, {"sentry-hook-resource": "comment"})
    assert (told.key, told.turn, told.may_open) == ("issue/4509", Turn.TELLS, False)
    assert isinstance(read("sentry", {"action": "created"}, {"sentry-hook-resource": "installation"}), Ignored)


@pytest.mark.parametrize(
    ("by", "association", "kind", "speaker"),
    [
        ("kira", "OWNER", "User", AuthorKind.CUSTOMER),
        ("oleg", "MEMBER", "User", AuthorKind.AGENT),
        ("lena", "NONE", "User", AuthorKind.CUSTOMER),
        ("helper[bot]", "MEMBER", "Bot", None),
    ],
)
def test_a_comment_on_github_is_said_by_whoever_wrote_it(by: str, association: str, kind: str, speaker: Any) -> None:
    """Whoever opened the issue is the customer, even of the team; programs are neither side."""
    payload = sent.github_comment("It is back.", by=by, association=association, kind=kind)
    signal = said("github", payload, {"x-github-event": "issue_comment"})
    assert (signal.key, signal.turn, signal.speaker) == ("example/shop#7", Turn.TELLS, speaker)
    assert "It is back." in signal.news


@pytest.mark.parametrize(
    ("action", "turn"),
    [("opened", Turn.BEGINS), ("reopened", Turn.BEGINS), ("closed", Turn.ENDS), ("edited", Turn.TELLS)],
)
def test_an_issue_on_github_begins_and_ends(action: str, turn: Turn) -> None:
    """With its text, who opened it, its labels and its address."""
    signal = said("github", sent.github_issue(action), {"x-github-event": "issues"})
    assert (signal.turn, signal.title) == (turn, "The basket is empty")
    assert signal.body.startswith("I put things in,\nand they are gone.\n\n")
    assert "Opened by: kira\nLabels: bug" in signal.body


@pytest.mark.parametrize("event", ["ping", "push", "star"])
def test_what_is_no_issue_is_ignored_with_a_reason(event: str) -> None:
    """Events that nobody asked GitHub for are no fault."""
    reading = read("github", {"zen": "Anything", "repository": {"full_name": "a/b"}}, {"x-github-event": event})
    assert isinstance(reading, Ignored)
    assert reading.reason


def test_a_pull_request_is_no_issue() -> None:
    """GitHub sends comments on both under one name."""
    payload = sent.github_comment("Looks good")
    payload["issue"]["pull_request"] = {"url": "https://api.github.com/x"}
    assert isinstance(read("github", payload, {"x-github-event": "issue_comment"}), Ignored)


def test_github_may_send_a_form() -> None:
    """The field payload holds the JSON."""
    raw = b"payload=%7B%22action%22%3A%22opened%22%2C%22issue%22%3A%7B%22number%22%3A1%2C%22title%22%3A%22x%22%7D%2C"
    raw += b"%22repository%22%3A%7B%22full_name%22%3A%22a%2Fb%22%7D%7D"
    headers = {"content-type": "application/x-www-form-urlencoded", "x-github-event": "issues"}
    reading = read_delivery(raw, headers, rules("github"))
    assert isinstance(reading, tuple)
    assert reading[0].title == "x"
    assert isinstance(read_delivery(b"nothing=1", headers, rules("github")), Unread)


@pytest.mark.parametrize(
    ("event_type", "turn"),
    [
        ("incident.triggered", Turn.BEGINS),
        ("incident.acknowledged", Turn.TELLS),
        ("incident.resolved", Turn.ENDS),
        ("incident.reopened", Turn.BEGINS),
    ],
)
def test_an_incident_of_pagerduty(event_type: str, turn: Turn) -> None:
    """Its priority is the severity; its address and service are text."""
    signal = said("pagerduty", sent.pagerduty(event_type))
    assert (signal.key, signal.turn, signal.severity) == ("incident/Q1ABCDE", turn, "P1")
    assert "Service: Shop" in signal.body
    assert f"{event_type} in PagerDuty by Anna." in signal.news


def test_a_note_of_pagerduty_names_its_incident() -> None:
    """The note is told on the incident's ticket, with its text."""
    payload = sent.pagerduty("incident.annotated")
    payload["event"]["data"] = {"incident": {"id": "Q1ABCDE", "summary": "Checkout"}, "content": "We roll back."}
    signal = said("pagerduty", payload)
    assert (signal.key, signal.turn) == ("incident/Q1ABCDE", Turn.TELLS)
    assert "We roll back." in signal.news


def test_any_system_is_read_by_a_mapping() -> None:
    """JSON pointers with their escapes; an object as key counts as a whole, whatever the order of its members."""
    payload = {
        "door": {"id": {"b": 1, "a": 2}, "building": "North"},
        "text": "Open since\x00 ten minutes",
        "more": ["Nobody is there."],
        "level": "critical",
        "state": "OPEN",
        "a/b~c": "https://doors.example.org/1",
    }
    signal = said("generic", payload, mapping=MAPPING)
    assert (signal.turn, signal.title, signal.severity) == (Turn.BEGINS, "Open since ten minutes", "critical")
    assert signal.body == "Nobody is there.\n\nBuilding: North\n\nLink: https://doors.example.org/1"
    turned = payload | {"door": {"id": {"a": 2, "b": 1}}, "state": "Resolved"}
    over = said("generic", turned, mapping=MAPPING)
    assert (over.key, over.turn) == (signal.key, Turn.ENDS)
    assert isinstance(read("generic", payload | {"state": "test"}, mapping=MAPPING), Ignored)


@pytest.mark.parametrize(
    ("kind", "raw", "reason"),
    [
        ("alertmanager", b"", "The body is not JSON: Expecting value, at character 0."),
        ("alertmanager", b"\xff{}", "The body is not UTF-8: octet 0 cannot be read."),
        ("alertmanager", b"[" * 100_000, "The body is not JSON that can be read: RecursionError."),
        ("alertmanager", b"[]", "The payload is not a JSON object."),
        ("alertmanager", b"{}", "There is no alert in /alerts."),
        ("sentry", b"{}", "There is no header Sentry-Hook-Resource, and no event, issue or alert in /data."),
        ("pagerduty", b"{}", "There is neither an /event nor a /messages."),
        ("generic", b'{"text": "x"}', "There is nothing at /door/id, where the key is mapped."),
        ("generic", b'{"door": {"id": 1}}', "There is nothing at /text, where the title is mapped."),
    ],
)
def test_what_cannot_be_read_says_what_was_looked_for(kind: str, raw: bytes, reason: str) -> None:
    """In words of ours, so that nothing of the payload stands in it."""
    fields = {"mapping": MAPPING} if kind == "generic" else {}
    assert read_delivery(raw, {}, rules(kind, **fields)) == Unread(reason)


def test_public_alerts_of_alertmanager() -> None:
    """Version 4 as documented by others, and version 3, whose groupKey is a number."""
    fourth = said("alertmanager", public("alertmanager_v4_firing_oncall.json"))
    assert (fourth.key, fourth.turn) == ("{}:{}", Turn.BEGINS)
    assert fourth.title == "TestAlert: This alert was sent by user for the demonstration purposes"
    third = said("alertmanager", public("alertmanager_v3_firing_alerta.json"))
    assert (third.key, third.severity) == ("5615590933959184469", "critical")
    assert third.title == "failedConnect: Connect fail"
    assert "instance: host2" in third.body


def test_a_public_alert_by_a_mapping() -> None:
    """One alert without its group: its labels are the key, and its status ends it."""
    payload = public("alertmanager_single_alert_oncall.json")
    mapping = {"key": "/labels", "title": "/labels/alertname", "state": "/status", "body": "/annotations/message"}
    signal = said("generic", payload, mapping=mapping)
    assert (signal.title, signal.turn) == ("KubeJobCompletion", Turn.BEGINS)
    over = said("generic", payload | {"status": "resolved"}, mapping=mapping)
    assert (over.key, over.turn) == (signal.key, Turn.ENDS)


def test_public_alerts_of_grafana() -> None:
    """The second ends what the first began."""
    begun, over = (
        said("grafana", public("grafana_legacy_alerting.json")),
        said("grafana", public("grafana_legacy_ok.json")),
    )
    assert (begun.turn, over.turn) == (Turn.BEGINS, Turn.ENDS)
    assert begun.key == over.key
    assert "High value: 100" in begun.body


def test_a_public_alert_of_sentry() -> None:
    """Its issue is the case; its title stands where its message is empty."""
    signal = said("sentry", public("sentry_issue_alert_triggered.json"), {"sentry-hook-resource": "event_alert"})
    assert (signal.key, signal.turn) == ("issue/1117540176", Turn.BEGINS)
    assert signal.title == "ReferenceError: heck is not defined"


def test_public_issues_of_github() -> None:
    """The comment goes to the ticket of its issue."""
    opened = said("github", public("github_issues_opened.json"), {"x-github-event": "issues"})
    assert (opened.key, opened.title) == ("Codertocat/Hello-World#1", "Spelling error in the README file")
    assert "Opened by: Codertocat" in opened.body
    comment = said("github", public("github_issue_comment_created.json"), {"x-github-event": "issue_comment"})
    assert (comment.key, comment.turn) == (opened.key, Turn.TELLS)
    assert comment.news.startswith("You are totally right! I'll get this fixed right away.")


def test_public_messages_of_pagerduty() -> None:
    """Two of one incident in one request, in their order: acknowledged, then over."""
    reading = read("pagerduty", public("pagerduty_ack_then_resolve_alerta.json"))
    assert isinstance(reading, tuple)
    assert [(signal.key, signal.turn) for signal in reading] == [
        ("incident/PIJ90N7", Turn.TELLS),
        ("incident/PIJ90N7", Turn.ENDS),
    ]


def test_a_public_message_of_a_bot_by_a_mapping() -> None:
    """What no kind knows, a mapping reads."""
    mapping = {
        "key": "/callback_query/id",
        "title": "/callback_query/data",
        "details": {"Who": "/callback_query/from/username"},
    }
    signal = said("generic", public("telegram_callback_ack_alerta.json"), mapping=mapping)
    assert (signal.title, signal.body) == ("/ack %s", "Who: satterly")


def test_no_sender_has_the_key_of_the_quarantine() -> None:
    """A case that is called so gets a digest as its key."""
    assert key_of("unreadable deliveries") == "unreadable deliveries"
    assert key_of(QUARANTINE_KEY) != QUARANTINE_KEY
    assert len(key_of("x" * 151)) == 64
