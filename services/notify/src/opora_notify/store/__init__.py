"""Every SQL statement of notify but those of webhook endpoints. Times and identifiers come in as parameters."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from opora_chassis.database import Transaction
from opora_contracts.customers import CustomerFact, CustomerMerged
from opora_contracts.vocabulary import MessageChannel
from opora_notify.domain.delivery import Notification, State
from opora_notify.domain.rules import Directory, Endpoint, Rule
from opora_notify.domain.tickets import Ticket
from opora_notify.store.reading import Reader


@dataclass(frozen=True, slots=True)
class Contact:
    """How a person is reached. `email` is None for a customer who has none."""

    name: str
    email: str | None
    language: str
    time_zone: str


@dataclass(frozen=True, slots=True)
class Agent:
    """A person of the desk, as the address book has them."""

    agent_id: str
    name: str
    email: str
    language: str
    time_zone: str
    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SupportGroup:
    """A group and the agent who leads it."""

    name: str
    lead: str
    on_call: str | None = None
    """The agent who is on call; None leaves that to the lead."""


@dataclass(frozen=True, slots=True)
class RuleSet:
    """The rules that hold. Version 0 are the packaged defaults."""

    version: int
    rules: tuple[Rule, ...]


_TICKETS = (
    "select tickets.*, coalesce(watchers, '{}') as watchers from tickets left join ticket_watchers using (ticket_id)"
    " where ticket_id = any($1)"
)

# Tickets ------------------------------------------------------------------------------------------------------------


async def lock_tickets(tx: Transaction, ticket_ids: Collection[UUID]) -> dict[UUID, Ticket]:
    """The tickets that are known, locked in one order until this commits."""
    rows = await tx.fetch(f"{_TICKETS} order by ticket_id for update of tickets", list(ticket_ids))
    return {row["ticket_id"]: _ticket(row) for row in rows}


async def find_tickets(reader: Reader, ticket_ids: Collection[UUID]) -> dict[UUID, Ticket]:
    """The tickets that are known."""
    rows = await reader.fetch(_TICKETS, list(ticket_ids))
    return {row["ticket_id"]: _ticket(row) for row in rows}


async def save_tickets(tx: Transaction, tickets: Collection[Ticket]) -> None:
    """Write new and changed tickets."""
    await tx.executemany(
        "insert into tickets (ticket_id, number, title, language, priority, requester_id, assignee, support_group,"
        " product, category) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
        " on conflict (ticket_id) do update set title = excluded.title, priority = excluded.priority,"
        " assignee = excluded.assignee, support_group = excluded.support_group, product = excluded.product,"
        " category = excluded.category",
        [
            (
                one.ticket_id,
                one.number,
                one.title,
                one.language,
                one.priority,
                one.requester_id,
                one.assignee,
                one.group,
                one.product,
                one.category,
            )
            for one in tickets
        ],
    )


async def save_watchers(tx: Transaction, tickets: Collection[Ticket]) -> None:
    """Write who watches these tickets, which are saved."""
    await tx.executemany(
        "insert into ticket_watchers (ticket_id, watchers) values ($1, $2)"
        " on conflict (ticket_id) do update set watchers = excluded.watchers",
        [(one.ticket_id, list(one.watchers)) for one in tickets],
    )


# Address book -------------------------------------------------------------------------------------------------------


async def save_customers(tx: Transaction, customers: Collection[CustomerFact]) -> None:
    """Write what the newest whole state says of each customer, who stands alone then; one fact per customer at most."""
    await tx.executemany(
        "insert into customers (customer_id, name, email, language, time_zone) values ($1, $2, $3, $4, $5)"
        " on conflict (customer_id) do update set name = excluded.name, email = excluded.email,"
        " language = excluded.language, time_zone = excluded.time_zone, merged_into = null",
        [(one.customer_id, one.name, one.email, one.language, one.time_zone) for one in customers],
    )


async def save_merges(tx: Transaction, merges: Collection[CustomerMerged]) -> None:
    """Remember who these customers are by now."""
    await tx.executemany(
        "update customers set merged_into = $2 where customer_id = $1",
        [(one.customer_id, one.merged_into) for one in merges],
    )


async def find_customer(reader: Reader, customer_id: UUID) -> Contact | None:
    """The contact of a customer, or of the one into whom it was merged in the end.

    None while the fact about either is still on its way.
    """
    # `union` without `all`: facts of two partitions may show, for a moment, two customers merged into each other.
    row = await reader.fetchrow(
        "with recursive chain as (select customer_id, merged_into from customers where customer_id = $1"
        " union select customers.customer_id, customers.merged_into from chain"
        " join customers on customers.customer_id = chain.merged_into)"
        " select customers.* from chain join customers using (customer_id) where chain.merged_into is null",
        customer_id,
    )
    return None if row is None else Contact(row["name"], row["email"], row["language"], row["time_zone"])


async def find_agent(reader: Reader, agent_id: str) -> Agent | None:
    """An agent of the address book."""
    row = await reader.fetchrow("select * from agents where agent_id = $1", agent_id)
    return None if row is None else _agent(row)


async def list_agents(reader: Reader) -> list[Agent]:
    """Every agent, by id."""
    return [_agent(row) for row in await reader.fetch("select * from agents order by agent_id")]


async def put_agent(tx: Transaction, agent: Agent) -> None:
    """Add or replace an agent."""
    await tx.execute(
        "insert into agents (agent_id, name, email, language, time_zone, groups) values ($1, $2, $3, $4, $5, $6)"
        " on conflict (agent_id) do update set name = excluded.name, email = excluded.email,"
        " language = excluded.language, time_zone = excluded.time_zone, groups = excluded.groups",
        agent.agent_id,
        agent.name,
        agent.email,
        agent.language,
        agent.time_zone,
        list(agent.groups),
    )


async def list_groups(reader: Reader) -> list[SupportGroup]:
    """Every group that has a lead, by name."""
    rows = await reader.fetch("select * from support_groups order by name")
    return [SupportGroup(row["name"], row["lead"], row["on_call"]) for row in rows]


async def put_group(tx: Transaction, group: SupportGroup) -> None:
    """Add a group, or name another lead and who is on call."""
    await tx.execute(
        "insert into support_groups (name, lead, on_call) values ($1, $2, $3)"
        " on conflict (name) do update set lead = excluded.lead, on_call = excluded.on_call",
        group.name,
        group.lead,
        group.on_call,
    )


async def read_directory(reader: Reader) -> Directory:
    """Who works where, and which endpoints take messages."""
    members: dict[str, tuple[str, ...]] = {}
    for agent in await list_agents(reader):
        for group in agent.groups:
            members[group] = (*members.get(group, ()), agent.agent_id)
    groups = await list_groups(reader)
    rows = await reader.fetch(
        "select endpoint_id, event_types from webhook_endpoints where disabled_at is null order by endpoint_id"
    )
    endpoints = tuple(Endpoint(row["endpoint_id"], tuple(row["event_types"])) for row in rows)
    return Directory(
        leads={group.name: group.lead for group in groups},
        on_call={group.name: group.on_call for group in groups if group.on_call is not None},
        members=members,
        endpoints=endpoints,
    )


# Rules --------------------------------------------------------------------------------------------------------------


async def newest_rule_set(reader: Reader) -> RuleSet | None:
    """The rules that were saved last; None when none ever were."""
    row = await reader.fetchrow("select version, rules from rule_sets order by version desc limit 1")
    return None if row is None else RuleSet(row["version"], tuple(Rule.model_validate(rule) for rule in row["rules"]))


async def insert_rule_set(tx: Transaction, rules: RuleSet, saved_at: datetime, saved_by: str) -> bool:
    """Save a set under its version; False when somebody else took that version."""
    tag = await tx.execute(
        "insert into rule_sets (version, rules, saved_at, saved_by) values ($1, $2, $3, $4) on conflict do nothing",
        rules.version,
        [rule.model_dump(mode="json") for rule in rules.rules],
        saved_at,
        saved_by,
    )
    return tag == "INSERT 0 1"


# Ledger -------------------------------------------------------------------------------------------------------------


async def insert_notifications(tx: Transaction, notifications: Sequence[Notification]) -> list[Notification]:
    """Add messages to the ledger and return those that were not in it yet, in the order given."""
    rows = await tx.fetch(
        "insert into notifications (notification_id, event_source, event_id, event_type, event, ticket_id, rule,"
        " template, channel, recipient, address, state, told, reason, created_at, due_at, finished_at)"
        " select * from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::jsonb[], $6::uuid[], $7::text[],"
        " $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::bigint[], $14::text[],"
        " $15::timestamptz[], $16::timestamptz[], $17::timestamptz[])"
        " on conflict do nothing returning notification_id",
        [one.notification_id for one in notifications],
        [one.event_source for one in notifications],
        [one.event_id for one in notifications],
        [one.event_type for one in notifications],
        [one.event for one in notifications],
        [one.ticket_id for one in notifications],
        [one.rule for one in notifications],
        [one.template for one in notifications],
        [one.channel for one in notifications],
        [one.recipient for one in notifications],
        [one.address for one in notifications],
        [one.state for one in notifications],
        [one.told for one in notifications],
        [one.reason for one in notifications],
        [one.created_at for one in notifications],
        [one.due_at for one in notifications],
        [one.finished_at for one in notifications],
    )
    added = {row["notification_id"] for row in rows}
    return [one for one in notifications if one.notification_id in added]


async def claim_notifications(
    tx: Transaction, channel: MessageChannel, limit: int, lease_ends_at: datetime
) -> list[Notification]:
    """Take messages that are due or whose lease is over; no other claim gets them before `lease_ends_at`."""
    # Plan: the partial index notifications_due, so that a tick with nothing to do reads no row.
    rows = await tx.fetch(
        "update notifications set state = 'sending', attempts = attempts + 1, due_at = $4 where notification_id in ("
        " select notification_id from notifications where channel = $1 and state in ('pending', 'sending')"
        " and due_at <= $2 order by due_at limit $3 for update skip locked) returning *",
        channel,
        tx.now,
        limit,
        lease_ends_at,
    )
    return [_notification(row) for row in rows]


async def hasten_messages(tx: Transaction, recipients: Collection[str]) -> bool:
    """Make what waits for its next attempt to these recipients due now; whether there was anything."""
    # Plan: the partial index notifications_due; it holds unfinished messages only.
    tag = await tx.execute(
        "update notifications set due_at = $3 where channel = $1 and state = 'pending' and due_at > $3"
        " and recipient = any($2::text[])",
        MessageChannel.EMAIL,
        list(recipients),
        tx.now,
    )
    return tag != "UPDATE 0"


async def backlog(reader: Reader, channel: MessageChannel) -> tuple[int, datetime | None]:
    """How many messages of a channel have not come to their end, and when the most overdue attempt was due."""
    # Plan: the partial index notifications_due, which holds unfinished messages only.
    row = await reader.fetchrow(
        "select count(*) as waiting, min(due_at) as due_at from notifications"
        " where channel = $1 and state in ('pending', 'sending')",
        channel,
    )
    return row["waiting"], row["due_at"]


async def lock_notifications(tx: Transaction, notification_ids: Collection[UUID]) -> dict[UUID, Notification]:
    """These messages, locked in the order of their ids until this commits."""
    rows = await tx.fetch(
        "select * from notifications where notification_id = any($1) order by notification_id for update",
        list(notification_ids),
    )
    return {row["notification_id"]: _notification(row) for row in rows}


async def save_progress(tx: Transaction, notifications: Sequence[Notification]) -> None:
    """Write back messages that this transaction has locked."""
    await tx.execute(
        "update notifications set state = progress.state, attempts = progress.attempts, resends = progress.resends,"
        " told = progress.told, reason = progress.reason, due_at = progress.due_at, finished_at = progress.finished_at"
        " from unnest($1::uuid[], $2::text[], $3::integer[], $4::integer[], $5::bigint[], $6::text[],"
        " $7::timestamptz[], $8::timestamptz[])"
        " as progress (notification_id, state, attempts, resends, told, reason, due_at, finished_at)"
        " where notifications.notification_id = progress.notification_id",
        [one.notification_id for one in notifications],
        [one.state for one in notifications],
        [one.attempts for one in notifications],
        [one.resends for one in notifications],
        [one.told for one in notifications],
        [one.reason for one in notifications],
        [one.due_at for one in notifications],
        [one.finished_at for one in notifications],
    )


async def find_notification(reader: Reader, notification_id: UUID) -> Notification | None:
    """One message as it stands."""
    row = await reader.fetchrow("select * from notifications where notification_id = $1", notification_id)
    return None if row is None else _notification(row)


async def list_notifications(
    reader: Reader, *, ticket_id: UUID | None, state: State | None, before: UUID | None, limit: int
) -> list[Notification]:
    """Messages, newest first (their ids are ordered by time), below the id `before`."""
    rows = await reader.fetch(
        "select * from notifications where ($1::uuid is null or ticket_id = $1) and ($2::text is null or state = $2)"
        " and ($3::uuid is null or notification_id < $3) order by notification_id desc limit $4",
        ticket_id,
        state,
        before,
        limit,
    )
    return [_notification(row) for row in rows]


def _ticket(row: Any) -> Ticket:
    values = dict(row)
    return Ticket(group=values.pop("support_group"), watchers=tuple(values.pop("watchers")), **values)


def _agent(row: Any) -> Agent:
    return Agent(**{**row, "groups": tuple(row["groups"])})


def _notification(row: Any) -> Notification:
    return Notification(**{**row, "channel": MessageChannel(row["channel"]), "state": State(row["state"])})
