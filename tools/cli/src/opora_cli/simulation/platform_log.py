"""Histories from the platform's own log, the topic of tickets, read from its oldest record to where it ends now."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from opora_cli.client import ServiceClient
from opora_cli.endpoints import Endpoints
from opora_cli.errors import NOT_RUNNING, UNUSABLE_INPUT, CommandError
from opora_cli.replay.entries import MalformedLine
from opora_cli.replay.run import RefusedEntry
from opora_cli.sla_reports.asking import service
from opora_contracts import Event
from opora_contracts.consumer import ConsumeError, Consumer, Given, Undecodable
from opora_contracts.instants import instant_from_text
from opora_contracts.tickets import TicketCreated, TicketFact
from opora_contracts.topics import TICKETS
from opora_sla.agreement import DEFAULT_AGREEMENT_ID, Agreement, AgreementDocument, dimensions_of, read_agreement
from opora_sla.calendar.document import CalendarDocument, CalendarVersion, Closures, NamedCalendar
from opora_sla.domain import CaseFact, case_fact
from opora_sla.simulation import History

START_SECONDS = 15.0
_BEGINNING = datetime.min.replace(tzinfo=UTC)
_BELOW_ALL = -1_000_001
"""No rank that an agreement can have is as low."""


@dataclass(slots=True)
class _Ticket:
    created: TicketCreated
    facts: dict[int, CaseFact]
    """By sequence: a record may stand on the topic twice."""


@dataclass(slots=True)
class PlatformLog:
    """The tickets that were created in [from, to), with what happened to them before `to`, to be gone through once.

    Of other tickets only the ids are kept, so it holds as much as the window asks for and not the whole topic.
    """

    from_at: datetime | None = None
    to_at: datetime | None = None
    most: int | None = None
    """Only so many tickets."""
    rows: int = 0
    """Records that were read."""
    malformed: list[MalformedLine] = field(default_factory=list)
    """Records that are no events; their line is the offset."""
    refused: list[RefusedEntry] = field(default_factory=list)
    """Always empty: what stands here intake has taken."""
    without_creation: int = 0
    """Facts of tickets whose creation the topic does not have any more."""
    _last_at: datetime = _BEGINNING
    _tickets: dict[str, _Ticket] = field(default_factory=dict)
    _passed_over: set[str] = field(default_factory=set)

    @property
    def tickets(self) -> int:
        """How many tickets are still to be gone through."""
        return len(self._tickets)

    @property
    def judged_at(self) -> datetime:
        """Until when the histories are complete: `to`, or the newest fact where the log ends before."""
        return self._last_at if self.to_at is None else min(self.to_at, self._last_at)

    def take(self, given: Given, place: str, offset: int) -> None:
        """One more record, in the order of its partition."""
        self.rows += 1
        if isinstance(given, Undecodable):
            self.malformed.append(MalformedLine(offset, f"{place}: {given.reason_code}: {given.detail}"))
        elif isinstance(given, Event) and isinstance(given.data, TicketFact) and given.sequence is not None:
            self._take(given, given.data)

    def histories(self) -> Iterator[History]:
        """Each ticket in the order of its creation on the topic's partitions; its facts are let go of."""
        for ticket_id in list(self._tickets):
            ticket = self._tickets.pop(ticket_id)
            yield History(ticket.created.number, dimensions_of(ticket.created), tuple(ticket.facts.values()))

    def _take(self, event: Event[Any], data: TicketFact) -> None:
        self._last_at = max(self._last_at, event.time)
        if self.to_at is not None and event.time >= self.to_at:
            return
        subject = event.subject
        ticket = self._tickets.get(subject)
        if isinstance(data, TicketCreated) and ticket is None:
            early = self.from_at is not None and event.time < self.from_at
            if early or (self.most is not None and len(self._tickets) >= self.most):
                self._passed_over.add(subject)
                return
            ticket = self._tickets[subject] = _Ticket(data, {})
        if ticket is None:
            self.without_creation += subject not in self._passed_over
            return
        fact = case_fact(event)
        if fact.is_kept:
            ticket.facts[fact.sequence] = fact


async def read_platform_log(bootstrap: str, log: PlatformLog, *, topic_prefix: str = "") -> None:
    """Read the whole topic into `log`. Raises CommandError when the broker does not answer, or no ticket was found.

    It reads on its own and disturbs no consumer; what is written meanwhile is left out.
    """
    try:
        async with Consumer(
            bootstrap, TICKETS.name, until_end=True, deadline_seconds=START_SECONDS, topic_prefix=topic_prefix
        ) as consumer:
            async for given in consumer:
                if consumer.place is not None:
                    log.take(given, f"partition {consumer.place.partition}", consumer.place.offset)
    except ConsumeError as error:
        raise CommandError(str(error), next_command="opora status", exit_code=NOT_RUNNING) from error
    if not log.tickets:
        raise CommandError(f"{topic_prefix}{TICKETS.name} has no ticket of that time", exit_code=UNUSABLE_INPUT)


async def agreements_in_force(endpoints: Endpoints) -> list[Agreement]:
    """The newest versions of the platform's agreements. Raises CommandError.

    Its default agreement stands last, under an id and a rank of its own: to a simulation the default one means that no
    agreement applies, and here it does.
    """
    found: list[Agreement] = []
    calendars: dict[tuple[str, int], NamedCalendar] = {}
    cursor: str | None = None
    async with service(endpoints, "sla") as sla:
        while True:
            page = await sla.get("/v1/agreements", limit=200, cursor=cursor)
            for view in page["items"]:
                document = AgreementDocument.model_validate(view["document"])
                created_at = instant_from_text(view["created_at"])
                named = None
                if (pin := view.get("calendar")) is not None:
                    place = pin["id"], pin["version"]
                    named = calendars[place] = calendars.get(place) or await _calendar(sla, *place)
                found.append(read_agreement(UUID(view["id"]), view["version"], document, created_at, named))
            cursor = page["next_cursor"]
            if cursor is None:
                return [_named_default(each) if each.id == DEFAULT_AGREEMENT_ID else each for each in found]


async def _calendar(sla: ServiceClient, calendar_id: str, version: int) -> NamedCalendar:
    """A calendar's version with what it took from elsewhere."""
    view = await sla.get(f"/v1/calendars/{calendar_id}", version=version)
    return CalendarVersion(
        UUID(view["id"]),
        view["version"],
        instant_from_text(view["created_at"]),
        CalendarDocument.model_validate(view["document"]),
        Closures.from_json(view["closures"]),
    ).named()


def _named_default(agreement: Agreement) -> Agreement:
    last = agreement.document.model_copy(update={"rank": _BELOW_ALL})
    return replace(agreement, id=UUID(int=0), document=last, conditions={})
