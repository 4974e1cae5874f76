"""For whom letters are taken in, and which settings cannot work."""

from typing import Any

import pytest
from pydantic import ValidationError

from opora_intake.channels.recipients import Recipients
from opora_intake.settings import IntakeSettings


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
