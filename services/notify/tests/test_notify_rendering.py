"""Letters: every template in every language, and nothing from outside breaks out of its place."""

from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from uuid import UUID

import pytest

from opora_contracts import Fact
from opora_contracts.commitments import CommitmentBreached, CommitmentEscalated, CommitmentWarning
from opora_contracts.feedback import FeedbackAlerted, SurveyRequested
from opora_contracts.sla import SlaBreached, SlaEscalated, SlaWarning
from opora_contracts.tickets import TicketAssigned, TicketReplied, TicketResolved
from opora_contracts.vocabulary import AuthorKind, Channel, MessageChannel, Metric, Priority, ResolutionCode
from opora_notify import rendering
from opora_notify.domain.delivery import Notification
from opora_notify.domain.tickets import Ticket
from opora_notify.rendering import Letter

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
ID = UUID("0195512a-0000-7000-8000-000000000001")
EVIL = "<script>alert(1)</script>\r\nBcc: thief@example.com"
CLOCK = {"ticket_id": ID, "metric": Metric.RESOLUTION, "cycle": 1, "agreement_id": ID, "agreement_version": 1}
TIMES = {"due_at": NOON, "detected_at": NOON, "used_seconds": 5400, "target_seconds": 14_400, "priority": Priority.P1}
COMMITMENT = CLOCK | {"metric": "operational", "agreement_kind": "ola", "party": "Network"}
SURVEY = {"survey_id": ID, "ticket_id": ID, "cycle": 1, "customer_id": ID}
RESOLVED = TicketResolved(ticket_id=ID, cycle=1, resolution_code=ResolutionCode.SOLVED)
FACTS: dict[str, Fact] = {
    "ticket_created": TicketAssigned(ticket_id=ID),
    "ticket_replied": TicketReplied(
        ticket_id=ID, message_id=ID, author_kind=AuthorKind.AGENT, author="anna", channel=Channel.WEB
    ),
    "ticket_resolved": RESOLVED,
    "ticket_watched": RESOLVED,
    "sla_warning": SlaWarning.model_validate(CLOCK | TIMES | {"percent": 75, "assignee": "anna"}),
    "sla_breached": SlaBreached.model_validate(CLOCK | TIMES | {"group": "Network"}),
    "sla_escalated": SlaEscalated.model_validate(
        CLOCK | TIMES | {"level": 2, "repetition": 0, "tell": ("lead",), "breached": True}
    ),
    "commitment_warning": CommitmentWarning.model_validate(COMMITMENT | TIMES | {"percent": 75, "assignee": "anna"}),
    "commitment_breached": CommitmentBreached.model_validate(COMMITMENT | TIMES | {"group": "Network"}),
    "commitment_escalated": CommitmentEscalated.model_validate(
        COMMITMENT | TIMES | {"level": 2, "repetition": 0, "tell": ("lead",), "breached": True}
    ),
    "survey_requested": SurveyRequested.model_validate(SURVEY | {"expires_at": NOON}),
    "feedback_alerted": FeedbackAlerted.model_validate(SURVEY | {"score": 1, "threshold": 2}),
    "notice": TicketAssigned(ticket_id=ID, assignee="anna"),
}
LINKS = {score: f"https://help.example.com/s/TOKEN/{score}" for score in range(1, 6)}


def ticket(title: str = "VPN fails") -> Ticket:
    return Ticket(ticket_id=ID, number="OP-1042", title=title, language="en", priority="P1", assignee="anna")


def letter(
    template: str, language: str, *, title: str = "VPN fails", name: str = "Olga", body: str = "Try now"
) -> Letter:
    values = {
        "name": name,
        "ticket": ticket(title),
        "fact": FACTS[template],
        "event_type": FACTS[template].event_type,
        "body": body,
        "links": LINKS,
    }
    return rendering.write_letter(template, language, "Europe/Moscow", values)


def composed(
    written: Letter, *, name: str = "Olga", resends: int = 0, event_type: str = "ticket.created"
) -> EmailMessage:
    """The message as a mail program reads it from the wire."""
    notification = Notification(
        notification_id=ID,
        event_source="/opora/intake",
        event_id="e-1",
        event_type=event_type,
        event={},
        ticket_id=ID,
        rule="r",
        template="t",
        channel=MessageChannel.EMAIL,
        recipient=f"customer:{ID}",
        created_at=NOON,
        resends=resends,
    )
    message = rendering.compose(
        written,
        notification,
        sender="Служба поддержки <support@example.com>",
        to_name=name,
        to_address="olga@example.org",
        domain="example.com",
    )
    parsed = message_from_bytes(message.as_bytes(), policy=default)
    assert isinstance(parsed, EmailMessage)
    return parsed


@pytest.mark.parametrize("language", rendering.LANGUAGES)
@pytest.mark.parametrize("template", sorted(FACTS))
def test_every_template_speaks_every_language(template: str, language: str) -> None:
    """Each template fills its subject with the ticket's number, its text and its HTML, in each language."""
    written = letter(template, language)
    assert written.subject.startswith("[OP-1042] ")
    assert "OP-1042" in written.text
    assert f'<html lang="{language}">' in written.html
    assert "{{" not in written.text + written.html


@pytest.mark.parametrize("language", rendering.LANGUAGES)
def test_a_watcher_reads_the_answer_or_that_it_is_solved(language: str) -> None:
    """The same template serves both; without an answer's text there is nothing to quote."""
    values = {"name": "Olga", "ticket": ticket(), "fact": RESOLVED, "event_type": RESOLVED.event_type}
    solved = rendering.write_letter("ticket_watched", language, "UTC", values)
    assert ("solved" if language == "en" else "решено") in solved.text
    answered = rendering.write_letter("ticket_watched", language, "UTC", {**values, "body": "Try now"})
    assert "Try now" in answered.text
    assert "Try now" in answered.html


def test_the_templates_tested_are_all_there_are() -> None:
    """No template ships untested."""
    assert rendering.template_names() == set(FACTS)


@pytest.mark.parametrize("language", rendering.LANGUAGES)
@pytest.mark.parametrize("template", sorted(FACTS))
def test_nothing_from_outside_becomes_html_or_a_header(template: str, language: str) -> None:
    """A title, a name or a reply that holds markup or line ends stays text in HTML and one line in headers."""
    message = composed(letter(template, language, title=EVIL, name=EVIL, body=EVIL), name=EVIL)
    html = message.get_body(("html",))
    assert html is not None
    assert "<script>" not in html.get_content()
    assert message["Bcc"] is None
    assert "\n" not in message["Subject"] + message["To"]


def test_a_message_has_both_parts_and_its_headers() -> None:
    """A message is multipart, says that a machine wrote it, and hangs on its ticket's thread."""
    message = composed(letter("ticket_created", "ru"))
    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    assert message["Subject"] == "[OP-1042] VPN fails"
    assert message["From"] == "Служба поддержки <support@example.com>"
    assert message["To"] == "Olga <olga@example.org>"
    assert message["Message-ID"] == f"<{ID}@example.com>"
    assert message["In-Reply-To"] == message["References"] == f"<ticket.{ID}@example.com>"
    assert message["Auto-Submitted"] == "auto-replied"
    assert message["Date"] == "Mon, 02 Mar 2026 12:00:00 +0000"


def test_a_letter_that_answers_nothing_says_that_a_machine_began() -> None:
    """Only the acknowledgement of a request is an automatic reply."""
    message = composed(letter("ticket_created", "en"), event_type="ticket.assigned")
    assert message["Auto-Submitted"] == "auto-generated"


def test_only_a_resend_gets_another_message_id() -> None:
    """A repeated attempt has the same Message-ID; a resend that somebody asked for has one of its own."""
    written = letter("ticket_created", "en")
    assert composed(written)["Message-ID"] == composed(written)["Message-ID"]
    assert composed(written, resends=1)["Message-ID"] == f"<{ID}.1@example.com>"


def test_a_reply_is_quoted_as_it_was_written() -> None:
    """The text part holds the reply unchanged, angle brackets and umlauts included."""
    assert "a < b & ü\nЗавтра" in letter("ticket_replied", "en", body="a < b & ü\nЗавтра").text


def test_a_survey_offers_every_score_by_link() -> None:
    """Both parts of a survey letter hold the five one-click addresses."""
    written = letter("survey_requested", "ru")
    for link in LINKS.values():
        assert link in written.text
        assert f'href="{link}"' in written.html


def test_times_are_the_readers() -> None:
    """A due date is shown by the recipient's clock and in the recipient's form, with the zone's name."""
    assert rendering.moment(NOON, "Europe/Moscow", "ru") == "02.03.2026, 15:00 (Europe/Moscow)"
    assert rendering.moment(NOON, "America/New_York", "en") == "02 Mar 2026, 07:00 (America/New_York)"
    assert rendering.moment(NOON, "Not/AZone", "en") == "02 Mar 2026, 12:00 (UTC)"


@pytest.mark.parametrize(
    ("seconds", "language", "shown"),
    [
        (0, "en", "0 min"),
        (59, "en", "0 min"),
        (5400, "en", "1 h 30 min"),
        (5400, "ru", "1 ч 30 мин"),
        (90_000, "en", "1 d 1 h"),
    ],
)
def test_durations_are_readable(seconds: int, language: str, shown: str) -> None:
    """Working time is shown in days, hours and minutes; empty parts are left out."""
    assert rendering.duration(seconds, language) == shown


@pytest.mark.parametrize(
    ("tag", "language"), [("ru", "ru"), ("ru-RU", "ru"), ("en-GB", "en"), ("de", "en"), ("kk-KZ", "en")]
)
def test_a_language_without_templates_falls_back(tag: str, language: str) -> None:
    """A recipient whose language has no templates is written to in English."""
    assert rendering.spoken(tag) == language


def test_the_resolution_says_how_it_ended() -> None:
    """A duplicate is not called solved."""
    values = {"name": "", "ticket": ticket(), "event_type": "ticket.resolved"}
    duplicate = RESOLVED.model_copy(update={"resolution_code": ResolutionCode.DUPLICATE})
    assert "is solved" in rendering.write_letter("ticket_resolved", "en", "UTC", values | {"fact": RESOLVED}).text
    assert "earlier one" in rendering.write_letter("ticket_resolved", "en", "UTC", values | {"fact": duplicate}).text


@pytest.mark.parametrize(
    ("owed", "language", "subject", "line"),
    [
        ({}, "en", "[OP-1042] OLA breached: VPN fails", "Owed by:  Network"),
        ({}, "ru", "[OP-1042] OLA нарушен: VPN fails", "Отвечает:      Network"),
        (
            {"metric": "underpinning", "agreement_kind": "uc", "party": "third_party"},
            "en",
            "[OP-1042] Agreement breached: VPN fails",
            "Owed by:  the third party",
        ),
        (
            {"metric": "update", "agreement_kind": "sla", "party": None},
            "ru",
            "[OP-1042] Договорённость нарушена: VPN fails",
            "Отвечает:      мы",
        ),
        ({"metric": "callback"}, "en", "[OP-1042] OLA breached: VPN fails", "Target:   callback within 4 h"),
    ],
)
def test_a_broken_commitment_says_who_owes_it(owed: dict[str, object], language: str, subject: str, line: str) -> None:
    """The group, the third party or the support side; a metric that is not known yet is called by its word."""
    fact = CommitmentBreached.model_validate(COMMITMENT | TIMES | owed)
    values = {"name": "", "ticket": ticket(), "event_type": fact.event_type, "fact": fact}
    written = rendering.write_letter("commitment_breached", language, "UTC", values)
    assert written.subject == subject
    assert line in written.text.splitlines()
