"""The SQL of the checker: every service's tables as it looks at them, and what makes two read models equal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opora_cli.chaos.observation import (
    ClockRow,
    Closing,
    DeadLetter,
    LedgerRow,
    NamedTicket,
    ServiceTables,
    StoredTicket,
    Survey,
    TimelineEntry,
)
from opora_cli.checks.store import known_tickets
from opora_cli.store import connect


@dataclass(frozen=True, slots=True)
class Model:
    """The part of a table that follows from the log alone."""

    table: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    """Names or expressions."""
    where: str = "true"


MODELS: Mapping[str, Sequence[Model]] = {
    "sla": (
        # Not agreement_version: open tickets go over to newer ones, and what is rebuilt begins with the newest.
        # Not judged_at: it says when somebody looked. Not emitted_sequence: what was said on incomplete evidence, and
        # corrected, was said by one of the two only.
        Model(
            "cases",
            ("ticket_id",),
            (
                *("number", "external_source", "external_id", "import_id", "domain", "partition", "agreement_id"),
                *("organization_id", "tier", "product", "kind", "channel", "priority", "assignee"),
                *('"group"', "next_fire_at", "open", "last_sequence"),
            ),
        ),
        Model("case_facts", ("ticket_id", "sequence"), ("fact::text",)),
        # Not fired_at, which is when it was said; and not what time alone brings: on incomplete evidence a clock may
        # have been warned of or breached that the whole log says was stopped before. Its outcome is compared below.
        Model(
            "fired_steps",
            ("ticket_id", "metric", "cycle", "step", "ordinal"),
            (),
            where="step not in ('warning', 'escalated', 'breached')",
        ),
        # Not judged_at, and not the use of a clock that runs, which is told as of then.
        Model(
            "clocks",
            ("ticket_id", "metric", "cycle"),
            (
                *("outcome", "state", "started_at", "due_at", "stopped_at", "target_seconds", "priority", "party"),
                "case when state <> 'running' then used_seconds end as used_seconds",
            ),
        ),
    ),
    "notify": (
        Model(
            "tickets",
            ("ticket_id",),
            (
                *("number", "title", "language", "priority", "requester_id", "assignee", "support_group"),
                *("product", "category"),
            ),
        ),
        Model("customers", ("customer_id",), ("name", "email", "language", "time_zone")),
        # Not notification_id, which is made at random, nor when the message was planned, nor how far its delivery came.
        Model(
            "notifications",
            ("event_source", "event_id", "channel", "recipient"),
            ("event_type", "event::text", "ticket_id", "rule", "template", "address"),
            # A fact of a clock from before the ticket was any group's is for the lead of the group that notify knows of
            # when it reads it: it reads two topics, between which there is no order.
            where="recipient not like 'lead:%'",
        ),
    ),
    "feedback": (
        Model(
            "closings",
            ("ticket_id", "cycle"),
            (
                *("closed_at", "resolution_code", "verdict", "requester_id", "organization_id", "assignee"),
                *("support_group", "product", "category"),
            ),
        ),
        # Not survey_id, which is made at random, nor its dates, which count from the judgement, nor its answer, which
        # people gave through the interface.
        Model("surveys", ("ticket_id", "cycle"), ("customer_id", "language")),
        Model("asked_customers", ("customer_id",), ()),
    ),
}

Rows = Mapping[tuple[str, ...], Mapping[str, Any]]

_TOLD: Mapping[str, str] = {
    "intake": "select 'opora.customers' as topic, id::text as subject, version as sequence from customers"
    " union all select 'opora.customers', id::text, version from organizations",
    "sla": "select 'opora.sla' as topic, ticket_id::text as subject, emitted_sequence as sequence from cases",
    "notify": "select 'opora.notifications' as topic, notification_id::text as subject, told as sequence"
    " from notifications",
    "feedback": "select 'opora.feedback' as topic, ticket_id::text as subject, sequence from journals",
}


async def read_model(connection: Any, model: Model) -> Rows:
    """The rows of one table, by key, in the key's order."""
    key = ", ".join(model.key)
    rows = await connection.fetch(
        f"select {', '.join((*model.key, *model.columns))} from {model.table} where {model.where} order by {key}"
    )
    return {
        tuple(str(row[name]) for name in model.key): {
            name: value for name, value in row.items() if name not in model.key
        }
        for row in rows
    }


async def read_tables(connection: Any, service: str) -> ServiceTables:
    """What the service's database holds for delivery, and which tickets it knows."""
    letters = await connection.fetch(
        'select consumer, key, source, event_id, reason_code, topic, partition, "offset" from dead_letters'
        " order by position"
    )
    return ServiceTables(
        tickets=await known_tickets(connection, service),
        applied={
            (row["consumer"], row["source"], row["subject"]): row["sequence"]
            for row in await connection.fetch("select consumer, source, subject, sequence from applied")
        },
        inbox=frozenset(
            (row["consumer"], row["source"], row["event_id"])
            for row in await connection.fetch("select consumer, source, event_id from inbox")
        ),
        outbox=[
            (row["topic"], row["key"].decode("utf-8", "replace"))
            for row in await connection.fetch("select topic, key from outbox order by id")
        ],
        told={(row["topic"], row["subject"]): row["sequence"] for row in await connection.fetch(_TOLD[service])},
        dead_letters=[DeadLetter(**row) for row in letters],
        parked=frozenset(
            (row["consumer"], row["key"]) for row in await connection.fetch("select consumer, key from parked_keys")
        ),
    )


async def read_tickets(connection: Any) -> dict[str, StoredTicket]:
    """Intake's tickets, by id."""
    rows = await connection.fetch(
        "select id::text, version, external_source, external_id, step, cycle from tickets order by number"
    )
    return {
        row["id"]: StoredTicket(
            ticket_id=row["id"],
            version=row["version"],
            external=None if row["external_id"] is None else (row["external_source"], row["external_id"]),
            step=row["step"],
            cycle=row["cycle"],
        )
        for row in rows
    }


async def read_timeline(connection: Any) -> dict[str, list[TimelineEntry]]:
    """Intake's audit trail, by ticket, in order."""
    timeline: dict[str, list[TimelineEntry]] = {}
    for row in await connection.fetch(
        "select ticket_id::text, sequence, type from timeline order by ticket_id, sequence"
    ):
        timeline.setdefault(row["ticket_id"], []).append(TimelineEntry(row["sequence"], row["type"]))
    return timeline


async def read_ledger(connection: Any) -> list[LedgerRow]:
    """Notify's messages, oldest first."""
    rows = await connection.fetch(
        "select notification_id::text, event_source, event_id, event_type, ticket_id::text, channel, recipient, state,"
        " attempts, reason, created_at, finished_at from notifications order by created_at, notification_id"
    )
    return [LedgerRow(**row) for row in rows]


async def read_named_tickets(connection: Any) -> dict[str, NamedTicket]:
    """Tickets as notify shows them, by id."""
    rows = await connection.fetch(
        "select ticket_id::text, number, priority, requester_id::text, assignee, support_group as group from tickets"
    )
    return {row["ticket_id"]: NamedTicket(**row) for row in rows}


async def read_endpoints(connection: Any) -> dict[str, Sequence[str]]:
    """What each webhook endpoint of notify asked for, by its id."""
    rows = await connection.fetch(
        "select endpoint_id::text, event_types from webhook_endpoints where disabled_at is null"
    )
    return {row["endpoint_id"]: tuple(row["event_types"]) for row in rows}


async def read_closings(connection: Any) -> list[Closing]:
    """What feedback has judged."""
    return [Closing(**row) for row in await connection.fetch("select ticket_id::text, cycle, verdict from closings")]


async def read_surveys(connection: Any) -> list[Survey]:
    """What feedback has asked."""
    return [
        Survey(**row) for row in await connection.fetch("select survey_id::text, ticket_id::text, cycle from surveys")
    ]


async def read_clocks(connection: Any) -> list[ClockRow]:
    """Sla's clocks as they stand."""
    rows = await connection.fetch(
        "select ticket_id::text, metric, cycle, outcome, state, started_at, due_at, stopped_at from clocks"
        " order by ticket_id, metric, cycle"
    )
    return [ClockRow(**row) for row in rows]


async def read_case_facts(connection: Any) -> list[tuple[str, int, str]]:
    """(ticket, sequence, event id) of what sla folds."""
    rows = await connection.fetch("select ticket_id::text, sequence, fact ->> 'event_id' as event_id from case_facts")
    return [tuple(row) for row in rows]


async def any_step_to_come(dsn: str) -> bool:
    """Whether time alone will still bring something to a clock of sla's."""
    connection = await connect(dsn)
    try:
        return bool(await connection.fetchval("select exists (select from cases where next_fire_at is not null)"))
    finally:
        await connection.close()


async def read_fired_steps(connection: Any) -> frozenset[tuple[str, str, int, str, int]]:
    """(ticket, metric, cycle, step, ordinal) of what sla has noted as said."""
    rows = await connection.fetch("select ticket_id::text, metric, cycle, step, ordinal from fired_steps")
    return frozenset(tuple(row) for row in rows)
