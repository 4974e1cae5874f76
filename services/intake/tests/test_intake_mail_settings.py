"""For whom letters are taken in, and which settings cannot work."""

from typing import Any, cast

import pytest
from pydantic import ValidationError

from opora_chassis.clock import Clock
from opora_chassis.database import Database
from opora_chassis.platform import Platform
from opora_intake.app import SERVICE
from opora_intake.channels.mail import MailChannel
from opora_intake.channels.recipients import Recipients
from opora_intake.settings import IntakeSettings

UNOPENED = Database(cast("Any", None), service="intake", clock=Clock())


def test_letters_are_taken_in_for_what_is_configured() -> None:
    """An address with whatever follows its +, a whole domain, and the postmaster; nobody else."""
    recipients = Recipients.of(["Support@Example.org", "@help.example.org"])
    for ours in ("support@example.org", "SUPPORT+abc@EXAMPLE.ORG", "any@help.example.org", "Postmaster"):
        assert recipients.accepts(ours), ours
    assert recipients.accepts("postmaster@example.org")
    for other in (
        "sales@example.org",
        "x@a.help.example.org",
        "support@example.com",
        "nobody",
        "a\udcff@help.example.org",
        "",
    ):
        assert not recipients.accepts(other), other


@pytest.mark.parametrize("entry", ["support", "@", "a b@example.org", "support+x@example.org"])
def test_what_is_no_address_stops_the_start(entry: str) -> None:
    """A misspelt address is an error that names it, not a mailbox that refuses everybody."""
    with pytest.raises(ValidationError, match="no address"):
        _settings(intake_mail_addresses=[entry])


def test_settings_that_cannot_work_stop_the_start() -> None:
    """A port without addresses, a short secret, and several keys of which none is named are refused."""
    with pytest.raises(ValidationError, match="intake_mail_addresses"):
        _settings(intake_mail_smtp_port=2525)
    with pytest.raises(ValidationError, match="less than 32 bytes"):
        _settings(intake_mail_token_keys={"a": "short"})
    with pytest.raises(ValidationError, match="must name one"):
        _settings(intake_mail_token_keys={"a": "x" * 32, "b": "y" * 32})


def _settings(**fields: Any) -> IntakeSettings:
    return IntakeSettings(database_dsn="postgresql://x", kafka_bootstrap="x:1", **fields)


@pytest.mark.parametrize(
    ("fields", "loops"),
    [
        ({}, []),
        ({"intake_mail_addresses": ["s@example.org"]}, ["handle_letters", "watch_letters"]),
        (
            {"intake_mail_addresses": ["s@example.org"], "intake_mail_lmtp_port": 2424},
            ["handle_letters", "watch_letters", "listen_lmtp"],
        ),
    ],
)
async def test_mail_is_off_until_it_is_set(fields: dict[str, Any], loops: list[str]) -> None:
    """Without an address no loop of intake touches mail; a port adds its listener."""
    platform = Platform("intake", _settings(**fields), UNOPENED, Clock())
    assert [loop.name for loop in MailChannel(platform).loops()] == loops


MAILBOX = {"name": "a", "address": "a@example.org", "host": "imap.example.org", "user": "a", "password": "b"}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": "Support Desk"}, "String should match pattern"),
        ({"address": "support"}, "no address such as support@example.org"),
        ({"security": "none"}, "in the open"),
        ({"afterwards": "move"}, "`move_to` names the folder"),
        ({"move_to": "Done"}, "`move_to` names the folder"),
        ({"poll_seconds": 0}, "greater than or equal to 0.1"),
        ({"pasword": "x"}, "Extra inputs are not permitted"),
    ],
)
def test_a_mailbox_that_cannot_be_polled_stops_the_start(fields: dict[str, Any], words: str) -> None:
    """What is wrong with it is said."""
    with pytest.raises(ValidationError, match=words):
        _settings(intake_mailboxes=[MAILBOX | fields])


def test_mailboxes_have_names_of_their_own_and_a_number() -> None:
    """Two of one name would share a ledger; 101 are too many. The port follows from what secures the connection."""
    with pytest.raises(ValidationError, match="two mailboxes are called 'a'"):
        _settings(intake_mailboxes=[MAILBOX, MAILBOX])
    with pytest.raises(ValidationError, match="at most 100 items"):
        _settings(intake_mailboxes=[MAILBOX | {"name": f"m{number}"} for number in range(101)])
    settings = _settings(intake_mailboxes=[MAILBOX, MAILBOX | {"name": "b", "security": "starttls"}])
    assert [mailbox.server_port for mailbox in settings.intake_mailboxes] == [993, 143]
    assert settings.takes_letters


async def test_the_service_runs_what_the_settings_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """Intake's composition takes the mail channel in, as the environment names it."""
    monkeypatch.setenv("OPORA_INTAKE_MAIL_ADDRESSES", '["support@example.org"]')
    monkeypatch.setenv("OPORA_INTAKE_MAIL_SMTP_PORT", "2525")
    monkeypatch.setenv("OPORA_INTAKE_MAIL_TOKEN_KEYS", f'{{"a": "{"x" * 32}"}}')
    platform = Platform("intake", _settings(), UNOPENED, Clock())
    assert "listen_smtp" in [loop.name for loop in SERVICE.compose(platform).loops]
