"""Who gets a ticket of a group: the rule's choice among the group's members, and why the others were not chosen."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from fractions import Fraction
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from opora_contracts.fact import ONE_LINE
from opora_intake.domain.commands import Tag
from opora_intake.domain.errors import BadValue, RuleBroken
from opora_intake.domain.rules import Listed
from opora_intake.domain.ticket import Ticket

MOST_GROUPS = 500
MOST_MEMBERS = 200
MOST_SKILLS = 30
MOST_CAPACITY = 1000
MOST_NEEDS = 500
"""Entries of each mapping to skills."""

GroupName = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=ONE_LINE)]
AgentName = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=ONE_LINE)]
Skills = Annotated[tuple[Tag, ...], Field(max_length=MOST_SKILLS)]


class Rule(StrEnum):
    """How a group's tickets find their agents."""

    MANUAL = "manual"
    ROUND_ROBIN = "round_robin"
    LEAST_LOADED = "least_loaded"


class Needs(BaseModel):
    """Which skills a ticket needs, by what stands on it."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    tags: Annotated[dict[Tag, Skills], Field(max_length=MOST_NEEDS)] = {}
    categories: Annotated[dict[Listed, Skills], Field(max_length=MOST_NEEDS)] = {}
    components: Annotated[dict[Listed, Skills], Field(max_length=MOST_NEEDS)] = {}

    def of(self, ticket: Ticket) -> frozenset[str]:
        """All skills that its tags, its category and its component ask for together."""
        asked = [self.tags.get(tag, ()) for tag in ticket.tags]
        asked.append(self.categories.get(ticket.category or "", ()))
        asked.append(self.components.get(ticket.component or "", ()))
        return frozenset(skill for skills in asked for skill in skills)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """An agent of a group as the choice sees it."""

    agent: str
    skills: frozenset[str]
    capacity: int
    """With so many tickets of the group in work the rule gives no more."""
    present: bool
    load: int = 0
    """Tickets of the group that the agent has in work."""
    turn: int = 0
    """The group's turn at which the agent was last chosen; 0: never."""

    @property
    def has_room(self) -> bool:
        """Whether the rule may give the agent a ticket at all."""
        return self.present and self.load < self.capacity


class Standing(StrEnum):
    """What became of a member in a choice."""

    CHOSEN = "chosen"
    LATER = "later"
    """Could be chosen; somebody else comes first, or nobody is chosen yet."""
    ABSENT = "absent"
    LACKS_SKILLS = "lacks_skills"
    AT_CAPACITY = "at_capacity"


@dataclass(frozen=True, slots=True)
class Considered:
    """One member in a choice."""

    agent: str
    standing: Standing
    load: int
    capacity: int
    missing: tuple[str, ...] = ()
    """The needed skills that the agent does not have."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Who is chosen, or nobody, and how each member stood."""

    agent: str | None
    needed: tuple[str, ...]
    considered: tuple[Considered, ...]


@dataclass
class TooManyGroups(BadValue):
    """An installation has no more groups with rules."""

    def __str__(self) -> str:
        return f"There are at most {MOST_GROUPS} groups: remove another one first"


@dataclass
class NotAutomatic(RuleBroken):
    """No agent can be chosen for this ticket by a rule."""

    reason: str

    def __str__(self) -> str:
        return f"No rule chooses an agent here: {self.reason}"


def choose(rule: Rule, members: Sequence[Member], needed: frozenset[str]) -> Choice:
    """The member who is present, has every needed skill and room for one more ticket, and whose turn it is.

    Round robin: who was chosen longest ago. Least loaded: whose tickets take the smallest share of the capacity, then
    who was chosen longest ago. Manual: nobody. Equals in the order of their names; that of `members` does not matter.
    """
    fit = [member for member in members if _obstacle(member, needed) is None]
    first = None if rule is Rule.MANUAL else min(fit, key=lambda member: _order(rule, member), default=None)
    considered = tuple(
        Considered(
            member.agent,
            _obstacle(member, needed) or (Standing.CHOSEN if member is first else Standing.LATER),
            member.load,
            member.capacity,
            tuple(sorted(needed - member.skills)),
        )
        for member in sorted(members, key=lambda member: member.agent)
    )
    return Choice(None if first is None else first.agent, tuple(sorted(needed)), considered)


def after_choice(members: Sequence[Member], agent: str, turn: int) -> list[Member]:
    """The members after the agent was chosen at this turn of the group."""
    return [replace(member, load=member.load + 1, turn=turn) if member.agent == agent else member for member in members]


def _obstacle(member: Member, needed: frozenset[str]) -> Standing | None:
    if not member.present:
        return Standing.ABSENT
    if needed - member.skills:
        return Standing.LACKS_SKILLS
    return None if member.has_room else Standing.AT_CAPACITY


def _order(rule: Rule, member: Member) -> tuple[Fraction, int, str]:
    share = Fraction(member.load, member.capacity) if rule is Rule.LEAST_LOADED else Fraction(0)
    return share, member.turn, member.agent
