"""What intake can be told from outside."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from opora_chassis.settings import ServiceSettings
from opora_contracts.mail_threads import TokenKeys, token_keys
from opora_contracts.vocabulary import Priority
from opora_intake.channels.mailbox import Mailbox
from opora_intake.channels.origin import nameserver
from opora_intake.channels.recipients import Recipients
from opora_intake.domain import matrix_with
from opora_intake.domain.attachments import MOST_FILE_BYTES, MOST_TICKET_BYTES, MOST_TICKET_FILES
from opora_intake.domain.floods import MOST_APPENDED, MOST_OPENED
from opora_intake.mail.authentication import OURSELVES


class IntakeSettings(ServiceSettings):
    """Intake's settings. Frozen: a changed setting takes effect at the next start."""

    # An import's request carries up to 2,000 entries.
    max_body_bytes: int = Field(default=8 * 1_048_576, ge=1024)
    priority_matrix: dict[str, Priority] = Field(default_factory=dict)
    """Overrides of the priority matrix, impact/urgency → priority, as JSON: {"high/low": "P2"}."""

    intake_mail_addresses: tuple[str, ...] = ()
    """For whom letters are taken in, as JSON: ["support@example.org", "@help.example.org"]. None: no letters."""
    intake_mail_host: str = "127.0.0.1"
    """Where SMTP and LMTP listen."""
    intake_mail_smtp_port: int | None = Field(default=None, ge=1, le=65535)
    intake_mail_lmtp_port: int | None = Field(default=None, ge=1, le=65535)
    intake_mail_connections: int = Field(default=20, ge=1, le=1000)
    """At the same time, per port. Each may hold a letter of 25 MB, three times while it is stored."""
    intake_mail_idle_seconds: float = Field(default=300, gt=0)
    intake_mail_session_seconds: float = Field(default=1800, gt=0)
    intake_mailboxes: Annotated[tuple[Mailbox, ...], Field(max_length=100)] = ()
    """The mailboxes that are polled by IMAP, as JSON (docs/mail.md)."""
    intake_mailbox_letters: int = Field(default=4, ge=1, le=64)
    """Letters that are fetched from mailboxes at the same time; each may take 25 MB, three times while it is stored."""
    intake_mail_readers: int = Field(default=2, ge=1, le=32)
    """Letters that are read at the same time, each in a process of its own."""
    intake_mail_most_opened_an_hour: int = Field(default=MOST_OPENED, ge=1)
    """Letters of one sender that open tickets within an hour; more are kept in quarantine as a flood."""
    intake_mail_most_appended_an_hour: int = Field(default=MOST_APPENDED, ge=1)
    """Letters of one sender that are added to one ticket within an hour; likewise."""
    intake_mail_instance: str | None = None
    """The name that stands in X-Opora-Instance of our own letters, so that one that comes back is known."""
    intake_mail_authserv_ids: tuple[str, ...] = ()
    """Whose Authentication-Results are believed (RFC 8601), as JSON: ["mx.example.org"]. None: nobody is asked."""
    intake_mail_dkim: bool = False
    """Whether intake checks the DKIM signatures (RFC 6376) of letters of which none of these servers says anything."""
    intake_mail_dns_servers: Annotated[tuple[str, ...], Field(max_length=10)] = ()
    """Who is asked for the keys, as JSON: ["192.0.2.53", "192.0.2.54:5353"]. None: the system's resolvers."""
    intake_mail_token_keys: dict[str, SecretStr] = Field(default_factory=dict)
    """The secrets of thread tokens by name, as JSON: {"a": "at least 32 bytes"}. None: no reply is proven."""
    intake_mail_token_key: str | None = None
    """The name of the key by which new tokens are made; needed where there are several."""

    intake_hook_max_bytes: int = Field(default=2 * 1_048_576, ge=1024)
    """The largest webhook delivery that is taken in."""
    intake_hook_workers: int = Field(default=2, ge=1, le=32)
    """Webhook deliveries that are handled at the same time, each of another source."""

    intake_form_most_of_address_an_hour: int = Field(default=5, ge=1)
    """Submissions of web forms within an hour that name one e-mail address; each form has a limit of its own."""
    intake_form_most_an_hour: int = Field(default=1_000, ge=1)
    """Submissions of all web forms within an hour."""

    intake_chat_idle_seconds: float = Field(default=900, gt=0)
    """A chat in which nobody has written for so long is closed."""
    intake_chat_streams: int = Field(default=500, ge=1, le=10_000)
    """Streams of chats that a process has open at most."""
    intake_files_directory: Path | None = None
    """Where files of tickets are kept; every process of intake must see the same. None: no files are kept."""
    intake_file_most_bytes: int = Field(default=MOST_FILE_BYTES, ge=1, le=5 * 1024**3)
    intake_ticket_files_most_bytes: int = Field(default=MOST_TICKET_BYTES, ge=1)
    intake_ticket_most_files: int = Field(default=MOST_TICKET_FILES, ge=1)
    intake_clamd: str | None = Field(default=None, pattern=r"^(/.+|[^\s/]+:[0-9]{1,5})$")
    """Where clamd listens, as host:port or the path of its socket. None: files are not looked through for viruses."""

    @field_validator("priority_matrix")
    @classmethod
    def _names_pairs(cls, overrides: dict[str, Priority]) -> dict[str, Priority]:
        matrix_with(overrides)
        return overrides

    @model_validator(mode="after")
    def _can_take_letters(self) -> Self:
        Recipients.of(self.intake_mail_addresses)
        if self.mail_ports and not self.intake_mail_addresses:
            raise ValueError("a mail port without intake_mail_addresses would refuse every letter: name the addresses")
        names = [mailbox.name for mailbox in self.intake_mailboxes]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"two mailboxes are called {twice!r}: each needs a name of its own")
        for entry in self.intake_mail_dns_servers:
            nameserver(entry)
        if self.intake_mail_token_keys:
            _ = self.token_keys
        return self

    @property
    def takes_letters(self) -> bool:
        """Whether letters can come."""
        return bool(self.intake_mail_addresses or self.intake_mailboxes)

    @property
    def mail_servers(self) -> frozenset[str] | None:
        """The servers whose word on a letter's origin counts, in lower case, ourselves among them where we check it;
        None where nobody's is asked for.
        """
        named = frozenset(name.strip().lower() for name in self.intake_mail_authserv_ids)
        return (named | {OURSELVES} if self.intake_mail_dkim else named) or None

    @property
    def mail_ports(self) -> dict[str, int]:
        """Where to listen, by protocol."""
        ports = {"smtp": self.intake_mail_smtp_port, "lmtp": self.intake_mail_lmtp_port}
        return {name: port for name, port in ports.items() if port is not None}

    @property
    def token_keys(self) -> TokenKeys | None:
        """The keys of thread tokens. Raises ValueError for keys that cannot be used."""
        secrets = {name: secret.get_secret_value() for name, secret in self.intake_mail_token_keys.items()}
        return token_keys(secrets, self.intake_mail_token_key)
