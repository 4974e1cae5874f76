"""Settings that would make links forgeable are refused."""

import pytest
from pydantic import ValidationError

from opora_feedback.settings import FeedbackSettings


def settings(secret: str) -> FeedbackSettings:
    return FeedbackSettings.model_validate(
        {
            "database_dsn": "postgresql://localhost/feedback",
            "kafka_bootstrap": "localhost:9092",
            "signing_secret": secret,
        }
    )


def test_the_first_of_several_secrets_signs() -> None:
    """Secrets are separated by commas, in the order given."""
    assert settings("the-first-secret-1, the-second-secret-2").signing_secrets == (
        b"the-first-secret-1",
        b"the-second-secret-2",
    )


@pytest.mark.parametrize("secret", ["", "short", "the-first-secret-1,", "the-first-secret-1,short"])
def test_a_short_secret_is_refused(secret: str) -> None:
    """A secret under 16 characters is refused at the start, with advice how to make one."""
    with pytest.raises(ValidationError, match="openssl rand"):
        settings(secret)
