"""Groups, their members and rules, who is there, and why a ticket was given to whom, over HTTP."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import Field, field_validator
from starlette.responses import Response

from opora_chassis.database import Transaction
from opora_chassis.http import Input, Limit, NotFound, Page, PlatformDependency, decode_cursor, page_of, shown
from opora_intake.api import group_examples as examples
from opora_intake.api.carrying_out import found_ticket
from opora_intake.api.case_settings import MayRead, MayWrite
from opora_intake.api.dependencies import ReadTickets, Rules, TicketReference, TicketWrite, broken_rules_as_problems
from opora_intake.api.examples import page as page_example
from opora_intake.api.views import View
from opora_intake.domain.assignment import (
    MOST_CAPACITY,
    MOST_MEMBERS,
    AgentName,
    GroupName,
    Member,
    Needs,
    Rule,
    Skills,
    Standing,
)
from opora_intake.handlers.assignment import assign_now, explain, put_group, set_presence
from opora_intake.handlers.errors import Unknown
from opora_intake.store import groups as store
from opora_intake.store.groups import Group, KeptChoice

router = APIRouter(prefix="/v1", tags=["groups"])


class MemberBody(Input):
    """A member of a group."""

    agent: AgentName
    """As `assignee` names agents."""
    skills: Skills = ()
    """In lower case, without commas."""
    capacity: Annotated[int, Field(ge=1, le=MOST_CAPACITY)] = 20
    """With so many tickets of this group in work, that is not resolved yet, the rule gives the agent no more."""
    present: bool = True
    """Whether the rule may choose the agent now."""


class GroupBody(Input):
    """A group as it is to be, whole."""

    rule: Rule
    needs: Needs = Needs()
    """Which skills a ticket needs by its tags, its category and its component: all of them together."""
    members: Annotated[tuple[MemberBody, ...], Field(max_length=MOST_MEMBERS)] = ()
    expected_version: Annotated[int | None, Field(ge=0)] = None
    """Refuse unless the group is at this version; 0: unless it is new."""

    @field_validator("members")
    @classmethod
    def _each_once(cls, members: tuple[MemberBody, ...]) -> tuple[MemberBody, ...]:
        names = [member.agent for member in members]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"{twice!r} is a member twice: name each agent once")
        return members


class MemberView(View):
    """A member of a group."""

    agent: str
    skills: list[str]
    capacity: int
    present: bool
    load: int
    """Tickets of this group that the agent has in work."""


class GroupView(View):
    """A group with its rule and its members, by name of the agents."""

    name: str
    rule: Rule
    needs: Needs
    members: list[MemberView]
    version: int
    changed_at: datetime
    changed_by: str


class PresenceBody(Input):
    """Whether an agent is there."""

    present: bool


class PresenceView(View):
    """Whether an agent is there, and the groups in which that counts."""

    agent: str
    present: bool
    groups: list[str]


class ConsideredView(View):
    """How a member of the group stood when an agent was looked for."""

    agent: str
    standing: Standing
    """`later`: could be chosen, but somebody else came first, or nobody is chosen yet."""
    load: int
    """Tickets of the group that the agent had in work."""
    capacity: int
    missing: list[str]
    """The needed skills that the agent did not have."""


class ChoiceView(View):
    """Why an agent was chosen, or why nobody can be at present."""

    group: str
    rule: Rule
    agent: str | None
    """Who was chosen; null while nobody can be: the ticket waits with the group."""
    needed: list[str]
    """The skills that the ticket needed."""
    considered: list[ConsideredView]
    sequence: int
    """The ticket's fact that told of the choice; while it waits, its newest one."""
    time: datetime


@router.get("/groups", summary="List groups")
@shown(page_example(examples.GROUP))
async def list_groups(
    platform: PlatformDependency, _caller: MayRead, limit: Limit = 50, cursor: str | None = None
) -> Page[GroupView]:
    """Groups that have a rule, by name. A ticket may be in a group that is not listed; nobody is chosen there."""
    position = decode_cursor(cursor, after=str) or {"after": ""}
    groups = await store.list_groups(platform.database, limit=limit + 1, **position)
    page = page_of(groups, limit, lambda group: {"after": group.name})
    return Page(items=[_view(group) for group in page.items], next_cursor=page.next_cursor)


@router.get("/groups/{name}", summary="Read a group")
@shown(examples.GROUP)
async def get_group(name: Annotated[GroupName, Path()], platform: PlatformDependency, _caller: MayRead) -> GroupView:
    """One group with its rule, its members, and how many tickets each has in work."""
    group = await store.find_group(platform.database, name)
    if group is None:
        raise NotFound("group", name)
    return _view(group)


@router.put("/groups/{name}", response_model=GroupView, summary="Settle a group")
@shown(
    examples.GROUP,
    examples.GROUPS,
    conflict="`expected_version` is no longer the group's version.",
)
async def settle_group(name: Annotated[GroupName, Path()], body: GroupBody, call: MayWrite) -> Response:
    """Add a group or replace it whole; at most 500. Who stays a member keeps their place in the round.

    Tickets that wait are given by the new rule within a second or so; tickets that have an assignee keep them.
    """

    async def work(tx: Transaction) -> GroupView:
        group = await put_group(
            tx,
            name,
            rule=body.rule,
            needs=body.needs,
            members=[
                Member(agent=one.agent, skills=frozenset(one.skills), capacity=one.capacity, present=one.present)
                for one in body.members
            ],
            expected_version=body.expected_version,
            actor=call.caller.actor,
        )
        return _view(group)

    with broken_rules_as_problems():
        return await call.run(work)


@router.delete("/groups/{name}", status_code=204, response_class=Response, summary="Remove a group")
@shown()
async def remove_group(name: Annotated[GroupName, Path()], call: MayWrite) -> Response:
    """Remove the group's rule and members. Its tickets keep the name of the group and their assignees."""

    async def work(tx: Transaction) -> None:
        if await store.lock_group(tx, name) is None:
            raise Unknown("group", name)
        await store.remove_group(tx, name)

    with broken_rules_as_problems():
        return await call.run(work, status=204)


@router.put("/agents/{agent_id}/presence", response_model=PresenceView, summary="Say whether an agent is there")
@shown(examples.PRESENCE, examples.PRESENCES)
async def put_presence(agent_id: Annotated[AgentName, Path()], body: PresenceBody, call: TicketWrite) -> Response:
    """Let the rules of all groups of the agent choose them, or not. Tickets that they have stay with them."""

    async def work(tx: Transaction) -> PresenceView:
        groups = await set_presence(tx, agent_id, present=body.present)
        return PresenceView(agent=agent_id, present=body.present, groups=groups)

    with broken_rules_as_problems():
        return await call.run(work)


@router.post("/tickets/{ticket}/assign/auto", response_model=ChoiceView, summary="Let the group's rule choose an agent")
@shown(
    examples.CHOICE, conflict="The ticket has an assignee, is resolved, or is in no group whose rule chooses agents."
)
async def assign_auto(ticket: TicketReference, call: TicketWrite, rules: Rules) -> Response:
    """Choose an agent at once; the timers do so by themselves a second or so after the ticket came to the group.

    Where nobody can be chosen the ticket stays with the group, and the answer says how each member stands.
    """

    async def work(tx: Transaction) -> ChoiceView:
        return _choice_view(await assign_now(tx, ticket, rules))

    with broken_rules_as_problems():
        return await call.run(work)


@router.get("/tickets/{ticket}/choice", summary="Read why an agent was chosen")
@shown(examples.CHOICE)
async def get_choice(ticket: TicketReference, platform: PlatformDependency, _caller: ReadTickets) -> ChoiceView:
    """The last choice that a rule made for the ticket; while it waits, how each member of its group stands now.

    404 where no rule ever chose and none will.
    """
    found = await found_ticket(platform, ticket)
    kept = await explain(platform.database, found, await platform.database.now())
    if kept is None:
        raise NotFound("choice for the ticket", found.label)
    return _choice_view(kept)


def _view(group: Group) -> GroupView:
    members = [
        MemberView(
            agent=one.agent, skills=sorted(one.skills), capacity=one.capacity, present=one.present, load=one.load
        )
        for one in group.members
    ]
    return GroupView(
        name=group.name,
        rule=group.rule,
        needs=group.needs,
        members=members,
        version=group.version,
        changed_at=group.changed_at,
        changed_by=group.changed_by,
    )


def _choice_view(kept: KeptChoice) -> ChoiceView:
    return ChoiceView(
        group=kept.group,
        rule=kept.rule,
        agent=kept.choice.agent,
        needed=list(kept.choice.needed),
        considered=[
            ConsideredView(
                agent=one.agent,
                standing=one.standing,
                load=one.load,
                capacity=one.capacity,
                missing=list(one.missing),
            )
            for one in kept.choice.considered
        ],
        sequence=kept.sequence,
        time=kept.time,
    )
