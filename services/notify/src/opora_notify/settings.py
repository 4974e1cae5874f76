"""What notify needs to be told, beside what every service needs."""

from datetime import timedelta
from email.utils import parseaddr
from typing import Literal, Self
from uuid import UUID

from pydantic import Field, SecretStr, model_validator

from opora_chassis.platform import Platform
from opora_chassis.settings import ServiceSettings
from opora_contracts.mail_threads import Claim, TokenKeys, reply_address, token_keys
from opora_notify.domain.delivery import RetryPolicy
from opora_notify.domain.rules import is_mail_address


class NotifySettings(ServiceSettings):
    """Settings of notify."""

    smtp_host: str = "127.0.0.1"
    smtp_port: int = Field(default=587, ge=1, le=65535)
    smtp_user: str | None = None
    smtp_password: SecretStr | None = None
    smtp_tls: Literal["none", "starttls", "tls"] = "starttls"
    """`none` is for a mail server on the same host or a test sink."""
    mail_from: str = "Support <support@localhost>"
    """The sender of every message: `Name <address>`."""
    mail_domain: str | None = None
    """The right side of message ids; the sender's domain where it is not set."""
    mail_reply_to: str | None = None
    """Where requesters answer to, one of intake's addresses; with `intake_mail_token_keys` the address carries a token
    that proves the ticket and who answers. Its local part has at most 14 octets then."""
    intake_mail_token_keys: dict[str, SecretStr] = Field(default_factory=dict)
    """The same as intake's."""
    intake_mail_token_key: str | None = None
    """The same as intake's."""
    intake_mail_instance: str | None = Field(default=None, pattern=r"^[A-Za-z0-9._-]{1,100}$")
    """The same as intake's: stands in X-Opora-Instance, by which intake knows our own letters when they come back."""
    default_language: Literal["en", "ru"] = "en"
    """For recipients whose language is not known."""
    workers: int = Field(default=4, ge=1, le=64)
    """Messages that are sent at the same time, per channel."""
    send_timeout_seconds: float = Field(default=20, gt=0)
    """The whole attempt by mail, with everything that is fetched for it."""
    webhook_timeout_seconds: float = Field(default=10, gt=0)
    lease_seconds: float = Field(default=120, gt=0)
    """A message whose worker is not heard of for so long is sent again by another."""
    poll_seconds: float = Field(default=0.5, gt=0)
    """How soon a message written by another process is seen."""
    retry_base_seconds: float = Field(default=2, gt=0)
    retry_cap_seconds: float = Field(default=3600, gt=0)
    max_attempts: int = Field(default=8, ge=1, le=100)
    stale_after_hours: float = Field(default=72, gt=0)
    """An event older than this sends nothing: it helps nobody any more, and a rebuilt service floods nobody."""
    allow_private_webhooks: bool = False
    """Let webhooks go to private and loopback addresses and over plain http."""
    intake_url: str | None = None
    intake_key: SecretStr | None = None
    """Reads messages (scope messages:read): letters then quote the answer that they tell of."""
    feedback_url: str | None = None
    feedback_key: SecretStr | None = None
    """Reads survey links (scope surveys:read): needed to ask."""

    @model_validator(mode="after")
    def _can_work(self) -> Self:
        if not is_mail_address(parseaddr(self.mail_from)[1]):
            raise ValueError("mail_from must be `address` or `Name <address>`")
        if self.mail_reply_to is not None:
            if not is_mail_address(self.mail_reply_to):
                raise ValueError("mail_reply_to must be a mail address without a name, such as support@example.com")
            if self.token_keys is not None:
                reply_address(self.token_keys, Claim(0, UUID(int=0)), self.mail_reply_to)
        if self.smtp_tls == "none" and self.smtp_user is not None:
            raise ValueError("a password must not travel in clear: set smtp_tls to starttls or tls, or no smtp_user")
        if self.lease_seconds <= max(self.send_timeout_seconds, self.webhook_timeout_seconds):
            raise ValueError("lease_seconds must be longer than an attempt may take, or messages are sent twice")
        return self

    @property
    def message_id_domain(self) -> str:
        """The right side of message ids."""
        return self.mail_domain or parseaddr(self.mail_from)[1].rpartition("@")[2]

    @property
    def token_keys(self) -> TokenKeys | None:
        """The keys of thread tokens. Raises ValueError for keys that cannot be used."""
        secrets = {name: secret.get_secret_value() for name, secret in self.intake_mail_token_keys.items()}
        return token_keys(secrets, self.intake_mail_token_key)

    @property
    def retry_policy(self) -> RetryPolicy:
        """How long a message is tried."""
        return RetryPolicy(self.retry_base_seconds, self.retry_cap_seconds, self.max_attempts)

    @property
    def stale_after(self) -> timedelta:
        """The age at which events stop leading to messages, on the platform's clock."""
        return timedelta(hours=self.stale_after_hours)


def settings_of(platform: Platform) -> NotifySettings:
    """The settings that this service was started with."""
    settings = platform.settings
    if not isinstance(settings, NotifySettings):
        raise TypeError(f"notify needs NotifySettings, not {type(settings).__name__}")
    return settings
