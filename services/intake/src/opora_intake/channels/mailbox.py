"""A mailbox that is polled by IMAP, as the settings describe it."""

from enum import StrEnum
from ipaddress import ip_address
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, model_validator

from opora_intake.channels.oauth import OAuth
from opora_intake.mail.addresses import parse_address

_Word = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]


class Security(StrEnum):
    """How the connection is kept from others (RFC 8314)."""

    TLS = "tls"
    STARTTLS = "starttls"
    NONE = "none"
    """Only to this machine."""


class Afterwards(StrEnum):
    """What is done with a message on its server once it is kept here."""

    SEEN = "seen"
    KEEP = "keep"
    """Nothing: the server shows it as it was."""
    MOVE = "move"
    """It goes into the folder `move_to`."""
    DELETE = "delete"


class Mailbox(BaseModel):
    """One folder of one account. Its name stands for it in the ledger: renamed, it is another mailbox."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,49}$")]
    address: _Word
    """The address whose letters lie there; it stands as the letters' recipient."""
    host: _Word
    port: Annotated[int | None, Field(ge=1, le=65535)] = None
    """Absent: 993 with `tls`, else 143."""
    security: Security = Security.TLS
    ca_file: str | None = None
    """Certificates to trust instead of the system's."""
    user: _Word
    password: SecretStr | None = None
    oauth: OAuth | None = None
    """Instead of a password: access tokens."""
    folder: _Word = "INBOX"
    afterwards: Afterwards = Afterwards.SEEN
    move_to: _Word | None = None
    poll_seconds: Annotated[float, Field(ge=0.1, le=3600)] = 15

    @model_validator(mode="after")
    def _can_be_polled(self) -> Self:
        if parse_address(self.address) is None:
            raise ValueError(f"{self.address!r} is no address such as support@example.org")
        if (self.password is None) == (self.oauth is None):
            raise ValueError(f"{self.name} needs a `password` or `oauth`, and not both")
        if (self.afterwards is Afterwards.MOVE) != (self.move_to is not None):
            raise ValueError("`move_to` names the folder of `afterwards: move`, and goes with nothing else")
        if self.security is Security.NONE and not _is_here(self.host):
            raise ValueError(f"a password goes to {self.host} in the open with `security: none`: take tls or starttls")
        return self

    @property
    def server_port(self) -> int:
        """Where the server listens (RFC 8314 §3.2)."""
        return self.port or (993 if self.security is Security.TLS else 143)


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
