"""Notify's HTTP interface for its address book: agents, groups and webhook endpoints."""

import base64
import secrets
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Generic, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, ConfigDict, Field, field_validator

from opora_chassis.addresses import ForbiddenAddressError, check_url
from opora_chassis.database import Transaction
from opora_chassis.http import Input, NotFound, PlatformDependency, Unprocessable, shown
from opora_chassis.identifiers import new_id
from opora_contracts.fact import Identifier, Language, ShortText
from opora_notify import api_examples, store
from opora_notify.api import MayRead, MayWrite
from opora_notify.domain.rules import EVENT_TYPES, Pattern, is_mail_address, takes_any
from opora_notify.settings import settings_of
from opora_notify.store import Agent, SupportGroup, endpoints
from opora_notify.store.endpoints import WebhookEndpoint

_SECRET_BYTES = 32
Item = TypeVar("Item")
router = APIRouter(prefix="/v1")


class AgentInput(Input):
    """What is to be known of an agent."""

    name: ShortText
    email: Annotated[str, Field(max_length=254)]
    language: Language = "en"
    time_zone: Identifier = "UTC"
    groups: tuple[ShortText, ...] = Field(default=(), max_length=100)

    @field_validator("email")
    @classmethod
    def _is_address(cls, value: str) -> str:
        if not is_mail_address(value):
            raise ValueError("must be a mail address without a name, such as anna@example.com")
        return value

    @field_validator("time_zone")
    @classmethod
    def _is_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError("must be a name of the IANA time zone database, such as Europe/Moscow") from error
        return value


class AgentView(BaseModel):
    """An agent of the address book."""

    model_config = ConfigDict(from_attributes=True)

    agent_id: str
    name: str
    email: str
    language: str
    time_zone: str
    groups: tuple[str, ...]


class GroupInput(Input):
    """What is to be known of a group."""

    lead: Identifier
    """The id of the agent who leads it."""
    on_call: Identifier | None = None
    """The id of the agent who is on call now; without one, an escalation to it goes to the lead."""


class GroupView(BaseModel):
    """A group of the desk and the agent who leads it."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    lead: str
    on_call: str | None


class WebhookInput(Input):
    """An endpoint that is to take events."""

    url: Annotated[str, Field(max_length=2000)]
    event_types: tuple[Pattern, ...] = Field(min_length=1, max_length=100)
    """Types such as `sla.breached`, or patterns such as `ticket.*`."""

    @field_validator("event_types")
    @classmethod
    def _exist(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [pattern for pattern in value if not takes_any(pattern)]
        if unknown:
            raise ValueError(f"no event has the type {', '.join(unknown)}; known are {', '.join(sorted(EVENT_TYPES))}")
        return value


class WebhookView(BaseModel):
    """An endpoint. Its secret is not shown again."""

    model_config = ConfigDict(from_attributes=True)

    endpoint_id: UUID
    url: str
    event_types: tuple[str, ...]
    created_at: datetime
    created_by: str
    disabled_at: datetime | None
    disabled_reason: str | None


class NewWebhookView(WebhookView):
    """A new endpoint, with the secret that its messages are signed with: shown this once."""

    secret: str


class Items(BaseModel, Generic[Item]):
    """A list that fits into one answer."""

    items: list[Item]


@router.get("/agents", summary="List agents")
@shown(api_examples.listed(api_examples.AGENT))
async def list_agents(_caller: MayRead, platform: PlatformDependency) -> Items[AgentView]:
    """Every agent, by id."""
    return Items(items=[AgentView.model_validate(one) for one in await store.list_agents(platform.database)])


@router.put("/agents/{agent_id}", response_model=AgentView, summary="Enter an agent")
@shown(api_examples.AGENT, api_examples.AGENTS)
async def put_agent(agent_id: Annotated[Identifier, Path()], body: AgentInput, call: MayWrite) -> Response:
    """Add an agent or replace what is known of one."""
    agent = Agent(agent_id, body.name, body.email, body.language, body.time_zone, body.groups)

    async def put(tx: Transaction) -> AgentView:
        await store.put_agent(tx, agent)
        return AgentView.model_validate(agent)

    return await call.run(put)


@router.get("/groups", summary="List groups")
@shown(api_examples.listed(api_examples.GROUP))
async def list_groups(_caller: MayRead, platform: PlatformDependency) -> Items[GroupView]:
    """Every group that has a lead, by name."""
    return Items(items=[GroupView.model_validate(one) for one in await store.list_groups(platform.database)])


@router.put("/groups/{name}", response_model=GroupView, summary="Name a group's lead")
@shown(api_examples.GROUP, api_examples.GROUPS)
async def put_group(name: Annotated[ShortText, Path()], body: GroupInput, call: MayWrite) -> Response:
    """Name the agent who leads a group, and who is on call there; the agents' own entries may come later."""
    group = SupportGroup(name, body.lead, body.on_call)

    async def put(tx: Transaction) -> GroupView:
        await store.put_group(tx, group)
        return GroupView.model_validate(group)

    return await call.run(put)


@router.get("/webhooks", summary="List webhook endpoints")
@shown(api_examples.listed(api_examples.WEBHOOK))
async def list_webhooks(_caller: MayRead, platform: PlatformDependency) -> Items[WebhookView]:
    """Every endpoint, the disabled ones included, oldest first."""
    return Items(items=[WebhookView.model_validate(one) for one in await endpoints.list_endpoints(platform.database)])


@router.post("/webhooks", status_code=201, response_model=NewWebhookView, summary="Add a webhook endpoint")
@shown(api_examples.NEW_WEBHOOK, api_examples.WEBHOOKS)
async def add_webhook(body: WebhookInput, call: MayWrite, platform: PlatformDependency) -> Response:
    """Send events to an endpoint from now on, signed as Standard Webhooks 1.0 says."""
    try:
        check_url(body.url, allow_private=settings_of(platform).allow_private_webhooks)
    except ForbiddenAddressError as error:
        raise Unprocessable(f"This endpoint cannot be used: {error}.") from error

    async def add(tx: Transaction) -> NewWebhookView:
        endpoint = WebhookEndpoint(
            endpoint_id=new_id(),
            url=body.url,
            event_types=body.event_types,
            secret="whsec_" + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode("ascii"),
            created_at=tx.now,
            created_by=call.caller.actor,
            disabled_at=None,
            disabled_reason=None,
        )
        await endpoints.insert_endpoint(tx, endpoint)
        return NewWebhookView(**asdict(endpoint))

    return await call.run(add, status=201)


@router.delete("/webhooks/{endpoint_id}", status_code=204, summary="Remove a webhook endpoint")
async def remove_webhook(endpoint_id: UUID, call: MayWrite) -> Response:
    """Send nothing to an endpoint from now on. It stays listed, as disabled; a new one gets a new secret."""

    async def disable(tx: Transaction) -> None:
        if not await endpoints.disable_endpoint(tx, endpoint_id, tx.now, f"removed by {call.caller.actor}"):
            raise NotFound("webhook endpoint", endpoint_id)

    return await call.run(disable, status=204)
