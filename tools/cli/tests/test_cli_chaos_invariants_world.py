"""A small storm made by hand, which a platform survives as it should; other tests break it in one place."""

from collections import defaultdict
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from opora_cli.chaos.observation import (
    ClockRow,
    Closing,
    DeadLetter,
    LedgerRow,
    NamedTicket,
    Observation,
    ServiceTables,
    StoredTicket,
    Survey,
    TimelineEntry,
)
from opora_cli.chaos.record import Action, Attempt, Injected, Outcome, Sample
from opora_cli.chaos.sinks import Hook, Letter
from opora_cli.checks.history import Record
from opora_contracts import Event, Fact
from opora_contracts.feedback import SurveyRequested
from opora_contracts.notifications import NotificationDelivered
from opora_contracts.sla import SlaPaused, SlaResumed
from opora_contracts.tickets import TicketClosed, TicketCreated, TicketReplied
from opora_contracts.topics import FEEDBACK, NOTIFICATIONS, REQUESTS, SLA, TICKETS, topic_of
from opora_contracts.vocabulary import AuthorKind, MessageChannel, Metric, WaitingOn
from tools.cli.tests.test_cli_chaos_oracle import (
    FIRST,
    MONITORING,
    RESOLUTION,
    TARGETS,
    at,
    breached,
    clock,
    closed,
    created,
    customer,
    held,
    met,
    noted,
    reopened,
    replied,
    resolved,
    resumed,
    started,
    ticket,
)

HEALED, OBSERVED = 120.0, 140.0
ENDPOINT = UUID(int=99)
NO_CLOCK = {"ticket.noted"}


def asked(number: int, survey: int) -> SurveyRequested:
    return SurveyRequested(
        survey_id=UUID(int=survey),
        ticket_id=ticket(number),
        cycle=1,
        customer_id=customer(number),
        expires_at=at(9999),
    )


@dataclass
class World:
    """What everybody did and said; `observe` gives the tables, letters and webhooks that follow from it."""

    attempts: list[Attempt] = field(default_factory=list)
    events: dict[str, list[Event[Any]]] = field(default_factory=lambda: defaultdict(list))
    clocks: list[ClockRow] = field(default_factory=list)
    _last: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))

    def say(self, seconds: float, fact: Any, *, subject: str | None = None, cause: str | None = None) -> Event[Any]:
        """A service publishes the next fact of a subject."""
        topic = topic_of(fact)
        source = f"/opora/{topic.producers[0]}"
        subject = subject or str(fact.ticket_id)
        self._last[source, subject] += 1
        sequence = self._last[source, subject]
        event: Event[Any] = Event(
            id=f"{source}:{subject}:{sequence}",
            source=source,
            type=fact.event_type,
            version=1,
            time=at(seconds),
            subject=subject,
            key=subject,
            data=fact,
            sequence=sequence,
            causation_id=cause,
        )
        self.events[topic.name].append(event)
        return event

    def unsay(self, event: Event[Any]) -> None:
        """The service never said it: what follows about the subject has the numbers before."""
        events = self.events[topic_of(event.data).name]
        place = events.index(event)
        events[place:] = [
            replace(each, sequence=(each.sequence or 0) - 1) if each.subject == event.subject else each
            for each in events[place + 1 :]
        ]

    def act(self, action: Action, seconds: float, fact: Fact, outcome: Outcome = Outcome.ACKNOWLEDGED) -> Event[Any]:
        """A person writes, and intake publishes what it led to."""
        event = self.say(seconds, fact)
        told = outcome is Outcome.ACKNOWLEDGED
        self.attempts.append(
            Attempt(
                key=f"key of {event.id}",
                actor="customer" if action == "create" else "agent",
                action=action,
                ticket_id=event.subject,
                started_at=at(seconds - 0.1),
                ended_at=at(seconds + 0.1),
                outcome=outcome,
                version=event.sequence if told else None,
            )
        )
        return event

    def submit(self, action: Action, seconds: float, external: str, fact: Fact | None = None) -> str:
        """A foreign system publishes an event; what it led to, if anything."""
        key = f"{action} {external}"
        self.attempts.append(
            Attempt(
                key=key,
                actor="foreign",
                action=action,
                external=(MONITORING, external),
                started_at=at(seconds - 0.1),
                ended_at=at(seconds + 0.1),
                outcome=Outcome.ACKNOWLEDGED,
            )
        )
        if fact is not None:
            self.say(seconds, fact, cause=key)
        return key

    def show(self, clock: tuple[int, Metric, int], began: float, due: float, stopped: float | None = None) -> None:
        """Sla shows a clock (ticket, metric, cycle); it is breached unless it was stopped in time."""
        number, metric, cycle = clock
        in_time = stopped is not None and stopped <= due
        self.clocks.append(
            ClockRow(
                ticket_id=str(ticket(number)),
                metric=metric,
                cycle=cycle,
                outcome="met" if in_time else "breached",
                state="running" if stopped is None else "stopped",
                started_at=at(began),
                due_at=at(due),
                stopped_at=None if stopped is None else at(stopped),
            )
        )

    def forget(self, number: int, began: float, declared: float | None = None) -> None:
        """Nobody answers: both clocks of the ticket are breached, 0.2 s after they were due unless given."""
        for metric, seconds in ((FIRST, 4), (RESOLUTION, 15)):
            due = began + seconds
            self.say(began, started(number, metric, began, due))
            self.say(due, breached(number, metric, due, declared or due + 0.2))
            self.show((number, metric, 1), began, due)

    def observe(self) -> Observation:
        """The platform at rest, and everything that arrived."""
        ledger = [
            (event, channel, recipient)
            for topic in (TICKETS, SLA, FEEDBACK)
            for event in self.events[topic.name]
            for channel, recipient in recipients(event)
        ]
        rows = [ledger_row(number, *entry) for number, entry in enumerate(ledger)]
        for row in rows:
            self.say(130, delivered(row), subject=row.notification_id)
        facts = self.events[TICKETS.name]
        opened = {event.subject: event for event in facts if isinstance(event.data, TicketCreated)}
        everything = frozenset(opened)
        broken = DeadLetter(
            consumer=REQUESTS.name,
            key="alert-2",
            source=MONITORING,
            event_id="submit_broken alert-2",
            reason_code="wrong_schema",
            topic=REQUESTS.name,
            partition=0,
            offset=0,
        )
        queued = replace(broken, event_id="submit alert-2", reason_code="queued", offset=1)
        return Observation(
            attempts=self.attempts,
            faults=[fault("kill", "sla-consume-1", 100, HEALED)],
            samples=[sample(number, tasks=20) for number in range(12)],
            healed_at=at(HEALED),
            observed_at=at(OBSERVED),
            settled_after_seconds=12.5,
            targets=TARGETS,
            records=records_of(self.events)
            | {
                REQUESTS.name: [
                    Record(REQUESTS.name, 0, 0, at(30), "alert-2", None, MONITORING, broken.event_id, "wrong_schema"),
                    Record(REQUESTS.name, 0, 1, at(31), "alert-2", None, MONITORING, queued.event_id),
                ]
            },
            tickets={name: stored(event.data, facts) for name, event in opened.items()},
            timeline={
                name: [TimelineEntry(event.sequence or 0, event.type) for event in facts if event.subject == name]
                for name in opened
            },
            services={
                "intake": ServiceTables(
                    tickets=everything,
                    inbox=frozenset((REQUESTS.name, MONITORING, e.causation_id) for e in facts if e.causation_id),
                    dead_letters=[broken, queued],
                    parked=frozenset({(REQUESTS.name, "alert-2")}),
                ),
                "sla": self._tables(everything, reads=("tickets",), writes="sla"),
                "notify": self._tables(everything, reads=("tickets", "sla", "feedback"), writes="notifications"),
                "feedback": self._tables(
                    frozenset(event.subject for event in facts if isinstance(event.data, TicketClosed)),
                    reads=("tickets",),
                    writes="feedback",
                ),
            },
            notifications=rows,
            named_tickets={
                name: NamedTicket(
                    ticket_id=name,
                    number=event.data.number,
                    priority="P3",
                    requester_id=str(event.data.requester_id),
                    assignee=None,
                    group=None,
                )
                for name, event in opened.items()
            },
            endpoints={str(ENDPOINT): ("ticket.created", "sla.breached")},
            letters=[letter(row) for row in rows if row.channel == MessageChannel.EMAIL],
            hooks=[hook(row) for row in rows if row.channel == MessageChannel.WEBHOOK],
            closings=[
                Closing(ticket_id=event.subject, cycle=event.data.cycle, verdict="asked")
                for event in facts
                if isinstance(event.data, TicketClosed)
            ],
            surveys=[
                Survey(survey_id=str(event.data.survey_id), ticket_id=event.subject, cycle=event.data.cycle)
                for event in self.events[FEEDBACK.name]
            ],
            clocks=self.clocks,
            case_facts=[(e.subject, e.sequence or 0, e.id) for e in facts if e.type not in NO_CLOCK],
            fired_steps=frozenset(
                (event.subject, event.data.metric, event.data.cycle, event.type.removeprefix("sla."), 0)
                for event in self.events[SLA.name]
            ),
        )

    def _tables(self, tickets: frozenset[str], *, reads: tuple[str, ...], writes: str) -> ServiceTables:
        return ServiceTables(
            tickets=tickets,
            applied={
                (f"opora.{name}", event.source, event.subject): event.sequence or 0
                for name in reads
                for event in self.events[f"opora.{name}"]
            },
            told={(f"opora.{writes}", event.subject): event.sequence or 0 for event in self.events[f"opora.{writes}"]},
        )


def recipients(event: Event[Any]) -> list[tuple[MessageChannel, str]]:
    """Whom this event tells."""
    found = (
        [(MessageChannel.WEBHOOK, f"webhook:{ENDPOINT}")] if event.type in {"ticket.created", "sla.breached"} else []
    )
    told = event.type in {"ticket.created", "ticket.resolved", "survey.requested"}
    by_agent = isinstance(event.data, TicketReplied) and event.data.author_kind is AuthorKind.AGENT
    if told or by_agent:
        found.append((MessageChannel.EMAIL, f"customer:{customer(event.data.ticket_id.int)}"))
    return found


def ledger_row(number: int, event: Event[Any], channel: MessageChannel, recipient: str) -> LedgerRow:
    return LedgerRow(
        notification_id=str(UUID(int=5000 + number)),
        event_source=event.source,
        event_id=event.id,
        event_type=event.type,
        ticket_id=event.subject,
        channel=channel,
        recipient=recipient,
        state="delivered",
        attempts=1,
        reason=None,
        created_at=event.time,
        finished_at=event.time + timedelta(seconds=1),
    )


def delivered(row: LedgerRow) -> NotificationDelivered:
    return NotificationDelivered(
        notification_id=UUID(row.notification_id),
        template="event",
        channel=MessageChannel(row.channel),
        recipient=row.recipient,
        attempts=1,
        delivered_at=at(130),
    )


def letter(row: LedgerRow, suffix: str = "") -> Letter:
    return Letter(f"<{row.notification_id}{suffix}@opora.example>", "person@chaos.example", "Hello", at(131), None)


def hook(row: LedgerRow, answered: int | None = 204) -> Hook:
    return Hook(row.notification_id, row.event_id, row.event_type, at(131), answered)


def fault(name: str, target: str, began: float, ended: float) -> Injected:
    return Injected(name=name, target=target, began_at=at(began), ended_at=at(ended))


def sample(number: int, *, tasks: int, megabytes: int = 90, connections: int = 6) -> Sample:
    return Sample(
        process="sla-consume-1",
        pid=17,
        at=at(5 * number),
        resident_bytes=megabytes << 20,
        database_connections=connections,
        tasks=tasks,
    )


def stored(of: TicketCreated, facts: list[Event[Any]]) -> StoredTicket:
    own = [event for event in facts if event.subject == str(of.ticket_id)]
    return StoredTicket(
        ticket_id=str(of.ticket_id),
        version=len(own),
        external=(MONITORING, of.external_id) if of.external_id else None,
        step="received",
        cycle=1,
    )


def records_of(events: dict[str, list[Event[Any]]]) -> dict[str, list[Record]]:
    """The topics on which these events stand in this order."""
    return {
        topic: [Record(topic, 0, offset, e.time, e.key, e, e.source, e.id) for offset, e in enumerate(some)]
        for topic, some in events.items()
    }


def calm() -> World:
    """Four tickets before the storm, one within it, and a broken event with what waits behind it."""
    world = World()
    # 1: answered, resolved and closed in time; whether the note was taken nobody was told.
    world.act("create", 0, created(1))
    world.act("replies", 2, replied(1))
    world.act("notes", 2.5, noted(1), Outcome.UNKNOWN)
    world.act("resolve", 5, resolved(1))
    cause = world.act("close", 6, closed(1))
    world.say(6.1, asked(1, 71), cause=cause.id)
    world.say(0, started(1, FIRST, 0, 4))
    world.say(0, started(1, RESOLUTION, 0, 15))
    world.say(2, met(1, FIRST, 2, 4))
    world.say(5, met(1, RESOLUTION, 5, 15))
    world.show((1, FIRST, 1), 0, 4, 2)
    world.show((1, RESOLUTION, 1), 0, 15, 5)
    # 2: forgotten.
    world.act("create", 10, created(2))
    world.forget(2, 10)
    # 3: waits 5 s for the customer, is resolved in time because of that, and again after a reopening.
    world.act("create", 20, created(3))
    world.act("replies", 24, replied(3))
    world.act("hold", 30, held(3))
    world.act("resume", 35, resumed(3))
    world.act("resolve", 40, resolved(3))
    world.act("reopen", 41, reopened(3))
    world.act("resolve", 42, resolved(3, cycle=2))
    world.say(20, started(3, FIRST, 20, 24))
    world.say(20, started(3, RESOLUTION, 20, 35))
    world.say(24, met(3, FIRST, 24, 24))
    pause = {"waiting_on": WaitingOn.CUSTOMER, "used_seconds": 10}
    world.say(30, SlaPaused(**clock(3, RESOLUTION), paused_at=at(30), **pause))
    world.say(35, SlaResumed(**clock(3, RESOLUTION), resumed_at=at(35), used_seconds=10, due_at=at(40)))
    world.say(40, met(3, RESOLUTION, 40, 40))
    world.say(41, started(3, RESOLUTION, 41, 56, cycle=2))
    world.say(42, met(3, RESOLUTION, 42, 56, cycle=2))
    world.show((3, FIRST, 1), 20, 24, 24)
    world.show((3, RESOLUTION, 1), 20, 40, 40)
    world.show((3, RESOLUTION, 2), 41, 56, 42)
    # 4: opened by a foreign system, which writes again; nobody answers it.
    world.submit("submit", 50, "alert-1", created(4, "alert-1"))
    world.submit("submit_reply", 52, "alert-1", replied(4, AuthorKind.CUSTOMER))
    world.forget(4, 50)
    world.submit("submit_broken", 30, "alert-2")
    world.submit("submit", 31, "alert-2")
    # 5: due in the middle of the storm, judged after the heal.
    world.act("create", 99, created(5))
    world.forget(5, 99, declared=HEALED + 3)
    return world


def test_a_message_that_tells_its_end_is_on_its_topic() -> None:
    """The hand-made storm is whole: every message has told its end."""
    observation = calm().observe()
    assert len(observation.records[NOTIFICATIONS.name]) == len(observation.notifications)
