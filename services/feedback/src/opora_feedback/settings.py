"""What feedback needs to be told, beside what every service needs."""

from datetime import timedelta

from pydantic import Field, SecretStr, field_validator

from opora_chassis.platform import Platform
from opora_chassis.settings import ServiceSettings
from opora_feedback.domain import HIGHEST_SCORE, LOWEST_SCORE, AskingPolicy

_SHORTEST_SECRET = 16


class FeedbackSettings(ServiceSettings):
    """Settings of feedback."""

    signing_secret: SecretStr
    """Signs the links in mails. To rotate, give several, separated by commas: the first signs, all verify."""
    ask_interval_days: float = Field(default=7, ge=0)
    """A person is asked at most once in so many days, over all tickets; 0 asks after every closing."""
    survey_life_days: float = Field(default=14, gt=0)
    """An unanswered survey expires after so many days; an answer may be changed until then."""
    alert_threshold: int = Field(default=2, ge=LOWEST_SCORE, le=HIGHEST_SCORE)
    """A score at or below it raises `feedback.alerted`."""
    expiry_poll_seconds: float = Field(default=10, gt=0)
    """How often, in real seconds, surveys past their end are marked as expired."""

    @field_validator("signing_secret")
    @classmethod
    def _long_enough(cls, value: SecretStr) -> SecretStr:
        if any(len(secret) < _SHORTEST_SECRET for secret in _split(value)):
            raise ValueError(
                f"each secret needs at least {_SHORTEST_SECRET} characters: make one with `openssl rand -hex 32`"
            )
        return value

    @property
    def signing_secrets(self) -> tuple[bytes, ...]:
        """Every secret that verifies; the first one signs."""
        return tuple(secret.encode() for secret in _split(self.signing_secret))

    @property
    def asking_policy(self) -> AskingPolicy:
        """The rules as the domain takes them."""
        return AskingPolicy(
            ask_interval=timedelta(days=self.ask_interval_days),
            survey_life=timedelta(days=self.survey_life_days),
            alert_threshold=self.alert_threshold,
        )


def settings_of(platform: Platform) -> FeedbackSettings:
    """The settings that this service was started with."""
    settings = platform.settings
    if not isinstance(settings, FeedbackSettings):
        raise TypeError(f"feedback needs FeedbackSettings, not {type(settings).__name__}")
    return settings


def _split(value: SecretStr) -> list[str]:
    return [secret.strip() for secret in value.get_secret_value().split(",")]
