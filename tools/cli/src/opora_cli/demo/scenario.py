"""What will happen on the demonstration's day: every ticket with everything done to it, drawn from a seed. Pure."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from opora_cli.demo.agreements import FIRST_RESPONSE_MINUTES, HOUR, MINUTE, RESOLUTION_MINUTES
from opora_cli.demo.arrivals import draw_arrivals
from opora_cli.demo.people import AGENTS, Agent, Person, make_people
from opora_cli.demo.stories import Phrases, Story, phrases, stories

MONITORING_SOURCE = "/orbit/monitoring"
_DESK_UTC_OFFSET_HOURS = 3
_MIDNIGHT = datetime(2026, 3, 4, tzinfo=UTC) - timedelta(hours=_DESK_UTC_OFFSET_HOURS)
"""The desk's midnight of an ordinary Wednesday."""
_CHANNELS = (("web", 34), ("email", 30), ("chat", 14), ("phone", 12), ("event", 10))
_MATRIX = {
    ("high", "high"): 0,
    ("high", "medium"): 1,
    ("medium", "high"): 1,
    ("high", "low"): 2,
    ("medium", "medium"): 2,
    ("low", "high"): 2,
    ("medium", "low"): 3,
    ("low", "medium"): 3,
    ("low", "low"): 4,
}
_SHARE_LESS_URGENT = 0.06
_SHARE_CANCELLED = 0.03
_SHARE_ANSWERED_LATE = 0.12
_SHARE_ASKED_BACK = 0.35
_SHARE_WAITING_FOR_OTHERS = 0.12
_SHARE_NOTED = 0.15
_SHARE_PLANNED = 0.4
_SHARE_RESOLVED_LATE = 0.13
_SHARE_REOPENED = 0.09
_SHARE_VERIFIED = 0.4
_SHARE_RATED = 0.62
_SHARE_COMMENTED = 0.5
_CONTENT = 4
_LOWER = {"high": "medium", "medium": "low", "low": "low"}


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that somebody does to a ticket at a time of the day."""

    at_seconds: float
    """After the day's start."""
    action: str
    """The command's verb, as intake's API has it."""
    actor: str
    """`agent:<id>`, or `customer` for the requester."""
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Script:
    """One ticket's whole day."""

    index: int
    arrives_at_seconds: float
    person: Person
    story: Story
    channel: str
    acts: tuple[Act, ...]
    rating: int | None
    """What the requester answers when asked; None stays silent."""
    comment: str | None
    mark: str = ""
    """Tells the alerts of one day from those of another on the same platform."""

    @property
    def external_id(self) -> str:
        """Under which name a ticket is known that arrives as an event."""
        return f"{self.mark}alert-{self.index:04d}"


@dataclass(frozen=True, slots=True)
class Scenario:
    """The whole day."""

    starts_at: datetime
    seconds: float
    people: tuple[Person, ...]
    scripts: tuple[Script, ...]


def make_scenario(*, seed: int, tickets: int, first_hour: int, hours: float, mark: str = "") -> Scenario:
    """The day that belongs to this seed: the same arguments give the same day."""
    random = Random(seed)  # noqa: S311 - a story, not a secret
    people = make_people(random)
    day_start = _MIDNIGHT + timedelta(hours=first_hour)
    arrivals = draw_arrivals(random, tickets, first_hour=first_hour, hours=hours)
    scripts = []
    for index, arrives_at in enumerate(arrivals, start=1):
        arrives = day_start + timedelta(seconds=arrives_at)
        person = _pick_person(random, people, arrives)
        scripts.append(_Writer(random, index, arrives_at, first_hour, person, mark).script(hours * HOUR))
    return Scenario(starts_at=day_start, seconds=hours * HOUR, people=tuple(people), scripts=tuple(scripts))


def _pick_person(random: Random, people: list[Person], now: datetime) -> Person:
    """Somebody who is awake: people write in the working hours of their own zone, seldom at night."""

    def weight(person: Person) -> float:
        local_hour = (now.hour + person.organization.utc_offset_hours) % 24
        return 1.0 if local_hour in range(8, 19) else 0.15

    return random.choices(people, weights=[weight(person) for person in people])[0]


@dataclass
class _Writer:
    """Writes one script, act by act; `_now` is the time of the act last written."""

    _random: Random
    _index: int
    _arrives_at: float
    _first_hour: int
    _person: Person
    _mark: str
    _acts: list[Act] = field(default_factory=list)
    _now: float = 0.0

    def script(self, day_seconds: float) -> Script:
        """The script; what would happen after the day's end is left out."""
        random = self._random
        channel = random.choices([name for name, _ in _CHANNELS], [weight for _, weight in _CHANNELS])[0]
        fitting = [story for story in stories() if (story.group == "Infrastructure") == (channel == "event")]
        story = random.choice(fitting)
        self._now = self._arrives_at
        satisfied = self._write(story)
        acts = tuple(act for act in self._acts if act.at_seconds < day_seconds)
        rating, comment = self._opinion(satisfied)
        return Script(
            index=self._index,
            arrives_at_seconds=self._arrives_at,
            person=self._person,
            story=story,
            channel=channel,
            acts=acts,
            rating=rating,
            comment=comment,
            mark=self._mark,
        )

    def _write(self, story: Story) -> bool:
        """Write the ticket's whole course; returns whether the customer has reason to be content."""
        random = self._random
        level = _MATRIX[story.impact, story.urgency]
        tier = self._person.organization.tier
        response_seconds = FIRST_RESPONSE_MINUTES[tier][level] * MINUTE
        resolution_seconds = RESOLUTION_MINUTES[tier][level] * MINUTE
        agent = self._agent(story.group)
        said = phrases(self._person.language)

        self._act(random.uniform(0.08, 0.2) * response_seconds, "assess", agent, self._judgement(story))
        self._act(MINUTE, "assign", agent, {"group": story.group, "assignee": agent.id})
        if random.random() < _SHARE_CANCELLED:
            code = random.choice(["cancelled", "duplicate"])
            self._act(20 * MINUTE, "close", agent, {"resolution_code": code})
            return True
        late_answer = random.random() < _SHARE_ANSWERED_LATE
        if late_answer:
            self._act(
                random.uniform(1.1, 1.8) * response_seconds, "reply", agent, {"body": random.choice(said.apologies)}
            )
        first_reply = story.wording(self._person.language).first_reply
        self._act(random.uniform(0.1, 0.4) * response_seconds, "reply", agent, {"body": first_reply})
        self._wait_for_others(agent, said, response_seconds)
        self._act(random.uniform(0.05, 0.2) * resolution_seconds, "diagnose", agent, {"cause": story.category})
        if random.random() < _SHARE_PLANNED:
            self._act(random.uniform(0.02, 0.1) * resolution_seconds, "plan", agent, {})
        late_resolution = random.random() < _SHARE_RESOLVED_LATE
        factor = random.uniform(0.9, 1.4) if late_resolution else random.uniform(0.05, 0.3)
        self._act(factor * resolution_seconds, "resolve", agent, {"resolution_code": self._code()})
        reopened = random.random() < _SHARE_REOPENED
        if reopened:
            self._reopen(agent, said, response_seconds, resolution_seconds)
        if random.random() < _SHARE_VERIFIED:
            self._act(random.uniform(5, 30) * MINUTE, "verify", None, {"verified_by": "customer"})
        self._act(random.uniform(10, 45) * MINUTE, "close", agent, {})
        return not (late_answer or late_resolution or reopened)

    def _judgement(self, story: Story) -> dict[str, str]:
        """Mostly as it came in; now and then the desk finds it less urgent than the customer does."""
        urgency = _LOWER[story.urgency] if self._random.random() < _SHARE_LESS_URGENT else story.urgency
        return {"impact": story.impact, "urgency": urgency, "category": story.category}

    def _wait_for_others(self, agent: Agent, said: Phrases, response_seconds: float) -> None:
        random = self._random
        if random.random() < _SHARE_ASKED_BACK:
            self._act(0.2 * response_seconds, "reply", agent, {"body": random.choice(said.questions)})
            self._act(MINUTE, "hold", agent, {"waiting_on": "customer"})
            self._act(random.uniform(15, 120) * MINUTE, "reply", None, {"body": random.choice(said.answers)})
            self._act(random.uniform(0.1, 0.5) * response_seconds, "reply", agent, {"body": self._received()})
        if random.random() < _SHARE_WAITING_FOR_OTHERS:
            waiting_on = random.choice(["third_party", "change"])
            self._act(5 * MINUTE, "hold", agent, {"waiting_on": waiting_on})
            self._act(random.uniform(20, 90) * MINUTE, "resume", agent, {})
        if random.random() < _SHARE_NOTED:
            self._act(3 * MINUTE, "note", agent, {"body": "Seen in two other workspaces of the same release as well."})

    def _reopen(self, agent: Agent, said: Phrases, response_seconds: float, resolution_seconds: float) -> None:
        random = self._random
        self._act(random.uniform(5, 25) * MINUTE, "reply", None, {"body": random.choice(said.reopenings)})
        self._act(random.uniform(0.2, 0.6) * response_seconds, "reply", agent, {"body": random.choice(said.apologies)})
        self._act(random.uniform(0.1, 0.5) * resolution_seconds, "resolve", agent, {"resolution_code": "solved"})

    def _received(self) -> str:
        return "Спасибо, этого достаточно." if self._person.language == "ru" else "Thank you, that is what I needed."

    def _code(self) -> str:
        return self._random.choices(["solved", "workaround", "no_fault_found"], [85, 10, 5])[0]

    def _opinion(self, satisfied: bool) -> tuple[int | None, str | None]:
        random = self._random
        if random.random() > _SHARE_RATED:
            return None, None
        said = phrases(self._person.language)
        rating = random.choice([4, 5, 5]) if satisfied else random.choice([1, 2, 2, 3, 4])
        comments = said.good_comments if rating >= _CONTENT else said.bad_comments
        return rating, random.choice(comments) if random.random() < _SHARE_COMMENTED else None

    def _agent(self, group: str) -> Agent:
        hour = int(self._first_hour + self._arrives_at // HOUR) % 24
        members = [agent for agent in AGENTS if agent.group == group]
        return self._random.choice([agent for agent in members if agent.on_shift(hour)] or members)

    def _act(self, after_seconds: float, action: str, agent: Agent | None, data: dict[str, Any]) -> None:
        self._now += after_seconds
        actor = f"agent:{agent.id}" if agent else "customer"
        if action == "reply":
            data = {**data, "author_kind": "agent" if agent else "customer"}
        self._acts.append(Act(self._now, action, actor, data))
