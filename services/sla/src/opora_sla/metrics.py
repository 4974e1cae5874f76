"""What an agreement promises about each metric: targets, pauses, warnings and the ladder of escalation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_serializer, model_validator

from opora_contracts.vocabulary import Priority, WaitingOn

Until = Literal["resolved", "closed"]
LadderStop = Literal["acknowledged", "replied", "held"]
Amount = Annotated[float, Field(strict=True, ge=0, le=1_000_000)]
Percent = Annotated[int, Field(strict=True, ge=1, le=99)]
Audience = Annotated[
    str, Field(pattern=r"^(assignee|group|lead|on_call|(agent|group|lead|on_call):[^\x00-\x20:][^\x00-\x1f]{0,99})$")
]

DEFAULT_WARNINGS: tuple[Percent, ...] = (75,)
_TEN_YEARS_SECONDS = 3_653 * 86_400
_SECOND_US = 1_000_000


class ClockMetric(StrEnum):
    """What a clock measures, in the order in which reports list it. Of the first three facts are told as `sla.*`, of
    the others as `commitment.*`.
    """

    FIRST_RESPONSE = "first_response"
    NEXT_RESPONSE = "next_response"
    RESOLUTION = "resolution"
    UPDATE = "update"
    OPERATIONAL = "operational"
    UNDERPINNING = "underpinning"


class Document(BaseModel):
    """A part of what an author writes. Unknown fields are refused, by name."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Target(Document):
    """A length of time: the sum of its parts, in whole seconds, from one to ten years."""

    days: Amount = 0
    """Days of 24 hours."""
    hours: Amount = 0
    minutes: Amount = 0
    seconds: Amount = 0

    @property
    def total_seconds(self) -> int:
        """The sum of the parts."""
        return round(self.days * 86_400 + self.hours * 3_600 + self.minutes * 60 + self.seconds)

    @model_serializer
    def _parts(self) -> dict[str, Any]:
        parts = {"days": self.days, "hours": self.hours, "minutes": self.minutes, "seconds": self.seconds}
        return {unit: int(amount) if amount == int(amount) else amount for unit, amount in parts.items() if amount}

    @model_validator(mode="after")
    def _is_a_budget(self) -> Target:
        if self.total_seconds < 1:
            raise ValueError('a target needs working time, for example {"hours": 4}')
        if self.total_seconds > _TEN_YEARS_SECONDS:
            raise ValueError("a target is at most ten years; leave the priority out for one without a target")
        return self


class Repeat(Document):
    """How a step is given again for as long as the ladder is not stopped."""

    every: Target
    """From one time to the next."""
    times: Annotated[int, Field(strict=True, ge=1, le=100)]
    """How often again, at most."""


class LadderStep(Document):
    """One step of a ladder: when it is given, whom it is for, how often again. It has exactly one instant."""

    at_percent: Annotated[int, Field(strict=True, ge=1, le=100)] | None = None
    """This share of the budget is used; 100 is the breach."""
    before_due: Target | None = None
    """So much working time is left. A target that is shorter has no such step."""
    after_due: Target | None = None
    """So long after the due date was missed."""
    tell: Annotated[tuple[Audience, ...], Field(min_length=1, max_length=20)]
    """`assignee`, or the ticket's `group`, its `lead` or who is `on_call` there; or by name: `agent:anna`,
    `group:network`, `lead:network`, `on_call:network`."""
    repeat: Repeat | None = None
    working_hours: bool = True
    """Whether `after_due` and `repeat` count working time; else all time."""

    @model_validator(mode="after")
    def _has_one_instant(self) -> LadderStep:
        given = [name for name in ("at_percent", "before_due", "after_due") if getattr(self, name) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none of them"
            raise ValueError(f"a step has one of at_percent, before_due and after_due; this one has {found}")
        return self


class Ladder(Document):
    """Whom to tell in which order while a clock goes on, each step once per clock and repetition."""

    steps: Annotated[tuple[LadderStep, ...], Field(min_length=1, max_length=20)]
    stops_on: tuple[LadderStop, ...] = ("acknowledged", "replied", "held")
    """`acknowledged`: somebody was assigned after the first step. `replied`: the support side wrote to the customer.
    Both end the ladder of the clock. `held`: it rests while the ticket waits for somebody."""


class ResponseMetric(Document):
    """How fast the support side answers the customer."""

    targets: Annotated[dict[Priority, Target], Field(min_length=1)]
    """A priority that is absent has no clock."""
    pauses: tuple[WaitingOn, ...] = ()
    """Holds during which the clock stands still. None by default: a hold is no answer."""
    pause_caps: Annotated[dict[WaitingOn, Target], Field(min_length=1)] | None = None
    """The most working time that all pauses for one reason take out of a clock; beyond, it counts although the ticket
    still waits."""
    warn_at_percent: tuple[Percent, ...] = DEFAULT_WARNINGS
    """Shares of the budget at which a warning is given."""
    warn_before: Annotated[tuple[Target, ...], Field(min_length=1, max_length=20)] | None = None
    """Working time that is left when a warning is given; a target that is shorter has none."""
    escalation: Ladder | None = None

    @model_validator(mode="after")
    def _caps_what_pauses(self) -> ResponseMetric:
        for reason in self.pause_caps or {}:
            if reason not in self.pauses:
                raise ValueError(
                    f"pause_caps names {reason.value}, for which the clock does not pause: add it to pauses"
                )
        return self


class ResolutionMetric(ResponseMetric):
    """How fast the request is done."""

    until: Until = "resolved"
    """`resolved`: until the support side holds it for done, each reopening with a fresh budget.
    `closed`: until the case is over; a reopening before that goes on with the same clock."""
    pauses: tuple[WaitingOn, ...] = (WaitingOn.CUSTOMER,)
    """Holds during which the clock stands still. By default, while the customer is asked."""


class UpdateMetric(ResponseMetric):
    """How often the customer hears of an open ticket: a public reply of an agent in every such period."""

    pauses: tuple[WaitingOn, ...] = (WaitingOn.CUSTOMER,)
    """Holds during which the clock stands still. By default, while the customer is asked."""


class OperationalMetric(ResponseMetric):
    """How long a group may have a ticket in hand: from its assignment to the group until it leaves or is resolved."""

    pauses: tuple[WaitingOn, ...] = (WaitingOn.CUSTOMER, WaitingOn.THIRD_PARTY)
    """Holds during which the clock stands still. By default, while somebody outside has the next word."""


class UnderpinningMetric(ResponseMetric):
    """How long a third party may let a ticket wait: from each hold for it to the end of the wait. Nothing pauses it,
    and of what stops a ladder only `acknowledged` has a meaning.
    """

    @model_validator(mode="after")
    def _is_a_wait_itself(self) -> UnderpinningMetric:
        if self.pauses:
            raise ValueError("the clock of a third party runs while the ticket waits for it: leave pauses out")
        return self


GroupName = Annotated[str, Field(min_length=1, max_length=200)]


class Metrics(Document):
    """What the agreement promises. A metric that is absent is not measured."""

    first_response: ResponseMetric | None = None
    next_response: ResponseMetric | None = None
    resolution: ResolutionMetric | None = None
    update: UpdateMetric | None = None
    operational: Annotated[dict[GroupName, OperationalMetric], Field(min_length=1)] | None = None
    """Operational level agreements, by the name of the group. A group that is absent has no such clock."""
    underpinning: UnderpinningMetric | None = None
    """The underpinning contract with whom the ticket waits for as `third_party`."""

    @model_validator(mode="after")
    def _promises_something(self) -> Metrics:
        if not any(getattr(self, metric.value) for metric in ClockMetric):
            raise ValueError(f"an agreement needs at least one of {', '.join(ClockMetric)}")
        return self

    def written(self) -> Iterator[tuple[ClockMetric, str | None, ResponseMetric]]:
        """Every promise in the order of the metrics, those between groups with the group's name."""
        for metric in ClockMetric:
            promised: ResponseMetric | dict[str, ResponseMetric] | None = getattr(self, metric.value)
            if isinstance(promised, ResponseMetric):
                yield metric, None, promised
            else:
                yield from ((metric, group, one) for group, one in (promised or {}).items())


@dataclass(frozen=True, slots=True)
class Rung:
    """A step of a ladder, in microseconds. Of the first three one is given."""

    percent: int | None
    before_us: int | None
    after_us: int | None
    every_us: int
    times: int
    working_hours: bool
    tell: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Terms:
    """What an agreement promises about one metric, ready for a clock."""

    targets_seconds: Mapping[Priority, int]
    pauses: frozenset[WaitingOn]
    warn_at_percent: tuple[int, ...]
    warn_before_seconds: tuple[int, ...] = ()
    pause_caps_us: Mapping[WaitingOn, int] = field(default_factory=dict)
    rungs: tuple[Rung, ...] = ()
    stops_on: frozenset[LadderStop] = frozenset()
    until_closed: bool = False


def terms_of(promised: ResponseMetric) -> Terms:
    """What the promise means to a clock."""
    ladder = promised.escalation
    stops_on = frozenset(ladder.stops_on) if ladder else frozenset()
    if isinstance(promised, UnderpinningMetric):
        # The clock lives on hold only, and what the customer hears is no answer of the third party.
        stops_on -= {"held", "replied"}
    return Terms(
        targets_seconds={priority: target.total_seconds for priority, target in promised.targets.items()},
        pauses=frozenset(promised.pauses),
        warn_at_percent=tuple(sorted(set(promised.warn_at_percent))),
        warn_before_seconds=tuple(sorted({left.total_seconds for left in promised.warn_before or ()}, reverse=True)),
        pause_caps_us={reason: _us(cap) for reason, cap in (promised.pause_caps or {}).items()},
        rungs=tuple(_rung(step) for step in ladder.steps) if ladder else (),
        stops_on=stops_on,
        until_closed=isinstance(promised, ResolutionMetric) and promised.until == "closed",
    )


def promises(metrics: Metrics) -> dict[ClockMetric, Terms]:
    """The terms of every metric that is measured, but for those of groups."""
    return {metric: terms_of(promised) for metric, group, promised in metrics.written() if group is None}


def promises_of_groups(metrics: Metrics) -> dict[str, Terms]:
    """The terms of every group that owes the others something, by its name."""
    return {group: terms_of(promised) for _, group, promised in metrics.written() if group is not None}


def _rung(step: LadderStep) -> Rung:
    return Rung(
        percent=step.at_percent,
        before_us=None if step.before_due is None else _us(step.before_due),
        after_us=None if step.after_due is None else _us(step.after_due),
        every_us=_us(step.repeat.every) if step.repeat else 0,
        times=step.repeat.times if step.repeat else 0,
        working_hours=step.working_hours,
        tell=step.tell,
    )


def _us(length: Target) -> int:
    return length.total_seconds * _SECOND_US
