"""Why a request cannot be carried out, beyond the rules of the domain."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from opora_intake.domain import RuleBroken


@dataclass
class Unknown(RuleBroken):
    """The request is about a thing that does not exist."""

    what: str
    identifier: UUID | str

    def __str__(self) -> str:
        return f"There is no {self.what} {self.identifier}"


@dataclass
class UnknownReference(RuleBroken):
    """A field names a thing that does not exist."""

    field: str
    identifier: UUID | str

    def __str__(self) -> str:
        return f"Nothing that exists is named by {self.field} {self.identifier}"


@dataclass
class NameTaken(RuleBroken):
    """Another thing of this kind has the name."""

    what: str
    name: str

    def __str__(self) -> str:
        return f"There is a {self.what} {self.name} already: change it, or choose another name"


@dataclass
class AddressTaken(RuleBroken):
    """An address belongs to one customer at most."""

    owners: Mapping[str, UUID]

    def __str__(self) -> str:
        told = ", ".join(f"{address} is an address of customer {owner}" for address, owner in self.owners.items())
        return f"{told}: if they are one person, merge them; else remove it there first"


@dataclass
class FutureStatement(RuleBroken):
    """What a customer said lies in the past."""

    at: datetime

    def __str__(self) -> str:
        return f"The time {self.at.isoformat()} lies in the future: give when it was said"


@dataclass
class DomainTaken(RuleBroken):
    """An e-mail domain belongs to one organisation at most."""

    domains: tuple[str, ...]

    def __str__(self) -> str:
        return f"Another organization already has one of the domains {', '.join(self.domains)}"


@dataclass
class AlreadySubmitted(RuleBroken):
    """The case of the foreign system has a ticket already."""

    external_source: str
    external_id: str
    ticket_number: str = ""

    def __str__(self) -> str:
        ticket = f" is {self.ticket_number}" if self.ticket_number else " has a ticket"
        return f"The case {self.external_id} of {self.external_source}{ticket} already: send a reply instead"


@dataclass
class HistoryOpen(RuleBroken):
    """The ticket belongs to an import that still runs."""

    ticket_number: str
    import_name: str

    def __str__(self) -> str:
        return f"{self.ticket_number} belongs to the open import {self.import_name}: close the import first"


@dataclass
class ImportClosed(RuleBroken):
    """The import takes no more entries."""

    name: str

    def __str__(self) -> str:
        return f"The import {self.name} is closed: open one under another name"
