"""Letters that machines write: what kind they are, and what they say about deliveries."""

from collections.abc import Sequence

import pytest

from opora_intake.mail.letter import Automatic, Bounce, DeliveryFact, Letter, Outcome, Verdict
from opora_intake.mail.reading import read_letter


def letter_with(*fields: str) -> bytes:
    """A letter of a person, with more fields."""
    return "\r\n".join(["From: Ann <ann@example.org>", "Subject: Help", *fields, "", "It does not work."]).encode()


def verdict(*fields: str, envelope_sender: str | None = None) -> Verdict | None:
    """How a letter with these fields is classified."""
    letter = read_letter(letter_with(*fields), envelope_sender=envelope_sender, instance="desk-1")
    assert isinstance(letter, Letter)
    return letter.automatic


@pytest.mark.parametrize(
    ("field", "kind"),
    [
        ("Auto-Submitted: auto-replied", Automatic.AUTO_SUBMITTED),
        ("Auto-Submitted: auto-generated (cron)", Automatic.AUTO_SUBMITTED),
        ("AUTO-SUBMITTED: Auto-Notified; owner-email=x", Automatic.AUTO_SUBMITTED),
        ("Precedence: bulk", Automatic.PRECEDENCE),
        ("Precedence: Junk", Automatic.PRECEDENCE),
        ("Precedence: auto_reply", Automatic.PRECEDENCE),
        ("List-Id: <users.example.org>", Automatic.LIST),
        ("List-Unsubscribe: <https://example.org/>", Automatic.LIST),
        ("Return-Path: <>", Automatic.NULL_SENDER),
        ("Return-Path: < >", Automatic.NULL_SENDER),
        ("X-Loop: support@example.org", Automatic.LOOP),
        ("X-Opora-Instance: DESK-1", Automatic.OWN),
        ("X-Opora-Instance: another", Automatic.LOOP),
        ("X-Autoreply: yes", Automatic.RESPONDER),
        ("X-Auto-Response-Suppress: DR, OOF, AutoReply", Automatic.RESPONDER),
        ("Content-Type: multipart/report; report-type=disposition-notification; boundary=b", Automatic.RECEIPT),
    ],
)
def test_a_machine_is_known_by_its_header(field: str, kind: Automatic) -> None:
    """RFC 3834, Precedence, List-*, null sender, X-Loop, our own header, and what responders wrote before these."""
    found = verdict(field)
    assert found is not None
    assert found.kind is kind
    assert found.evidence


@pytest.mark.parametrize(
    "field",
    [
        "Auto-Submitted: no",
        "Auto-Submitted: No; because=person",
        "Auto-Submitted:",
        "Precedence: first-class",
        "Return-Path: <ann@example.org>",
        "X-Auto-Response-Suppress: DR",
        "X-Autoreply: no",
        "X-Mailer: Auto-Submitted",
    ],
)
def test_a_person_is_taken_for_a_person(field: str) -> None:
    """What says that it is not automatic, or says something else, is no sign."""
    assert verdict(field) is None


def test_the_envelope_tells_more_than_the_header() -> None:
    """Where MAIL FROM is known it decides: anyone can write a Return-Path."""
    assert verdict(envelope_sender="") == Verdict(Automatic.NULL_SENDER, "return-path: <>")
    assert verdict("Return-Path: <>", envelope_sender="ann@example.org") is None


def test_the_surest_sign_decides() -> None:
    """A letter of our own that came back over a list is one of our own."""
    found = verdict("List-Id: <x>", "Precedence: list", "Auto-Submitted: auto-generated", "X-Opora-Instance: desk-1")
    assert found == Verdict(Automatic.OWN, "x-opora-instance: desk-1")


DSN = """\
From: Mail Delivery System <MAILER-DAEMON@mx.example.net>
Subject: Undelivered Mail Returned to Sender
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b

I'm sorry.
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.net

Original-Recipient: rfc822; Ann@Example.org
Final-Recipient: rfc822; a.n@internal.example.org
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 User
 unknown

Final-Recipient: rfc822;bob@example.org
Action: delayed
Status: 4.4.1 (no answer)

Final-Recipient: rfc822; eve@example.org
Action: failed
Status: 4.4.7

Final-Recipient: rfc822; dan@example.org
Action: delivered
Status: 2.0.0
--b
Content-Type: text/rfc822-headers

Message-ID: <token.1@example.com>
Subject: Help
--b--
"""


def test_a_delivery_report_becomes_facts() -> None:
    """RFC 3464: each recipient with outcome, status, whether it is of use to write again, and the returned letter."""
    bounce = read_letter(DSN.encode())
    assert bounce == Bounce(
        (
            DeliveryFact(
                "Ann@example.org", Outcome.FAILED, "5.1.1", permanent=True, diagnostic="550 5.1.1 User unknown"
            ),
            DeliveryFact("bob@example.org", Outcome.DELAYED, "4.4.1", permanent=False, diagnostic=""),
            DeliveryFact("eve@example.org", Outcome.FAILED, "4.4.7", permanent=False, diagnostic=""),
            DeliveryFact("dan@example.org", Outcome.DELIVERED, "2.0.0", permanent=False, diagnostic=""),
        ),
        "token.1@example.com",
        "dsn",
    )


def test_a_report_that_was_damaged_on_its_way_is_no_ticket() -> None:
    """Without its boundary the report is one text: its blocks still become facts."""
    bounce = read_letter(DSN.replace('boundary="b"', "bo").encode())
    whole = read_letter(DSN.encode())
    assert isinstance(bounce, Bounce)
    assert isinstance(whole, Bounce)
    assert (bounce.facts, bounce.original_message_id) == (whole.facts, whole.original_message_id)


def test_a_report_about_a_report_tells_only_its_own_facts() -> None:
    """What a returned letter says of deliveries is no news: a bounce of a bounce names the outer one's recipient."""
    outer = (
        b"From: MAILER-DAEMON@mx.example.com\n"
        b"Content-Type: multipart/report; report-type=delivery-status; boundary=o\n\n"
        b"--o\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example.com\n\n"
        b"Final-Recipient: rfc822; sender@example.com\nAction: failed\nStatus: 5.2.1\n"
        b"--o\nContent-Type: message/rfc822\n\nMessage-ID: <report@mx.example.net>\n" + DSN.encode() + b"--o--\n"
    )
    fact = DeliveryFact("sender@example.com", Outcome.FAILED, "5.2.1", permanent=True, diagnostic="")
    assert read_letter(outer) == Bounce((fact,), "report@mx.example.net", "dsn")


TEXT_BOUNCES = {
    "postfix": (
        """This is the mail system at host mx.example.net.

I'm sorry to have to inform you that your message could not
be delivered to one or more recipients. It's attached below.

<ann@example.org>: host mail.example.org[192.0.2.1] said: 550 5.1.1
    <ann@example.org>: Recipient address rejected: User unknown (in reply to
    RCPT TO command)

<bob@example.org>: mail for example.org loops back to myself

--- Undelivered message follows ---

Message-ID: <token.1@example.com>
""",
        [("ann@example.org", "5.1.1", True), ("bob@example.org", "5.0.0", True)],
    ),
    "exim": (
        """This message was created automatically by mail delivery software.

A message that you sent could not be delivered to one or more of its
recipients. This is a permanent error. The following address(es) failed:

  ann@example.org
    host mail.example.org [192.0.2.1]
    SMTP error from remote mail server after RCPT TO:<ann@example.org>:
    550 5.2.1 Mailbox disabled
  bob@example.org
    Unrouteable address

------ This is a copy of the message, including all the headers. ------

Return-path: <support@example.com>
Message-ID: <token.1@example.com>
To: ann@example.org
""",
        [("ann@example.org", "5.2.1", True), ("bob@example.org", "5.0.0", True)],
    ),
    "qmail": (
        """Hi. This is the qmail-send program at mx.example.net.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<ann@example.org>:
Sorry, no mailbox here by that name. (#5.1.1)

<bob@example.org>:
192.0.2.1 does not like recipient.
Remote host said: 452 mailbox full

--- Below this line is a copy of the message.

Return-Path: <support@example.com>
Message-ID: <token.1@example.com>
""",
        [("ann@example.org", "5.1.1", True), ("bob@example.org", "4.0.0", False)],
    ),
    "sendmail": (
        """The original message was received at Mon, 2 Mar 2026 12:00:00 GMT
from support.example.com [192.0.2.9]

   ----- The following addresses had permanent fatal errors -----
<ann@example.org>
    (reason: 550 5.1.1 <ann@example.org>... User unknown)

   ----- Transcript of session follows -----
... while talking to mail.example.org.:
>>> DATA
<<< 550 5.1.1 <ann@example.org>... User unknown

   ----- Original message follows -----
Message-ID: <token.1@example.com>
""",
        [("ann@example.org", "5.1.1", True)],
    ),
    "exchange": (
        """Delivery has failed to these recipients or groups:

ann@example.org (mailto:ann@example.org)
The email address you entered couldn't be found. Please check the recipient's
email address and try to resend the message.

Diagnostic information for administrators:

Generating server: mx.example.net

ann@example.org
#550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup ##

Original message headers:

Received: from support.example.com
Message-ID: <token.1@example.com>
""",
        [("ann@example.org", "5.1.10", True)],
    ),
    "gmail": (
        """** Address not found **

Your message wasn't delivered to ann@example.org because the address couldn\u2019t be found.

The response from the remote server was:
550 5.1.1 The email account that you tried to reach does not exist.

----- Original message -----

Message-ID: <token.1@example.com>
""",
        [("ann@example.org", "5.1.1", True)],
    ),
}

OTHER_WORDING = {
    "exchange, older": (
        "exchange",
        (
            "Your message did not reach some or all of the intended recipients.\n\n      Subject: Help\n"
            "      Sent: 3/2/2026 12:00 PM\n\nThe following recipient(s) cannot be reached:\n\n"
            "      'ann@example.org' on 3/2/2026 12:00 PM\n            550 5.7.1 Unable to relay\n"
        ),
        [("ann@example.org", "5.7.1", True)],
    ),
    "gmail, older": (
        "gmail",
        (
            "Delivery to the following recipient failed permanently:\n\n     ann@example.org\n\n"
            "Technical details of permanent failure:\n552 5.2.2 The email account is over quota.\n"
        ),
        [("ann@example.org", "5.2.2", True)],
    ),
    "gmail, delayed": (
        "gmail",
        (
            "** Delivery incomplete **\n\nThere was a temporary problem delivering your message to ann@example.org."
            " Gmail will retry for 46 more hours.\n\nThe response was:\n451 4.4.1 timed out\n"
        ),
        [("ann@example.org", "4.4.1", False)],
    ),
    "exim, delayed": (
        "exim",
        (
            "This message was created automatically by mail delivery software.\nA message that you sent has not yet"
            " been delivered to one or more of its\nrecipients after more than 24 hours on the queue.\n\n"
            "The address to which the message has not yet been delivered is:\n\n  ann@example.org\n"
        ),
        [("ann@example.org", "4.0.0", False)],
    ),
    "sendmail, delayed": (
        "sendmail",
        (
            "    **  THIS IS A WARNING MESSAGE ONLY  **\n\n"
            "   ----- The following addresses had transient non-fatal errors -----\n<ann@example.org>\n\n"
            "   ----- Transcript of session follows -----\n<ann@example.org>... Deferred: Connection refused\n"
        ),
        [("ann@example.org", "4.0.0", False)],
    ),
}


def expect_facts(bounce: object, server: str, facts: Sequence[tuple[str, str, bool]]) -> Bounce:
    """The report is that server's, and says this of each recipient."""
    assert isinstance(bounce, Bounce)
    assert bounce.reported_by == server
    assert [(fact.recipient, fact.status, fact.permanent) for fact in bounce.facts] == list(facts)
    return bounce


def report(text: str, sender: str = "Mail Delivery System <mailer-daemon@mx.example.net>") -> bytes:
    """A letter without structure, as these servers write it."""
    return f"From: {sender}\nSubject: Mail delivery failed\nTo: support@example.com\n\n{text}".encode()


@pytest.mark.parametrize("server", TEXT_BOUNCES)
def test_a_report_in_words_becomes_facts(server: str) -> None:
    """Postfix, Exim, qmail, sendmail, Exchange and Gmail: recipient, status, permanence and the returned letter."""
    text, facts = TEXT_BOUNCES[server]
    assert expect_facts(read_letter(report(text)), server, facts).original_message_id == "token.1@example.com"
    silent = report(text, "Mail System <noreply@mx.example.net>")
    expect_facts(read_letter(silent, envelope_sender=""), server, facts)


@pytest.mark.parametrize("name", OTHER_WORDING)
def test_other_wording_becomes_facts(name: str) -> None:
    """Older versions, and delays, which are no failures."""
    server, text, facts = OTHER_WORDING[name]
    bounce = expect_facts(read_letter(report(text)), server, facts)
    assert {fact.outcome for fact in bounce.facts} == {Outcome.DELAYED if "delayed" in name else Outcome.FAILED}


def test_a_person_who_quotes_a_report_wants_help() -> None:
    """The words of a mail server in a person's letter, or a report attached to it, make it no bounce."""
    for text, _ in TEXT_BOUNCES.values():
        assert isinstance(read_letter(report(text, "Ann <ann@example.org>")), Letter)
    forwarded = b"From: ann@example.org\nContent-Type: multipart/mixed; boundary=m\n\n--m\n\nHelp!\n--m\n"
    forwarded += b"Content-Type: message/rfc822\n\n" + DSN.encode() + b"--m--\n"
    letter = read_letter(forwarded)
    assert isinstance(letter, Letter)
    assert letter.text == "Help!"
    assert [file.content_type for file in letter.attachments] == ["message/rfc822"]


def test_a_report_that_names_nobody_is_still_no_ticket() -> None:
    """A bounce without a recipient has no facts; Exim's header names them where the text does not."""
    assert read_letter(report("Your letter is undeliverable.")) == Bounce((), None, "other")
    named = b"X-Failed-Recipients: ann@example.org, bob@example.org\n" + report("Delivery failed.")
    expect_facts(read_letter(named), "other", [("ann@example.org", "5.0.0", True), ("bob@example.org", "5.0.0", True)])


def test_a_letter_of_a_daemon_that_reports_nothing_is_an_automatic_letter() -> None:
    """Postmaster may write about something else: that is read, and answered by nobody automatically."""
    letter = read_letter(report("Please update your software."), envelope_sender="")
    assert isinstance(letter, Letter)
    assert letter.automatic == Verdict(Automatic.NULL_SENDER, "return-path: <>")
