"""One run: publish every case, wait until intake has gone past each, and look what became of them.

Nothing is guessed from silence. A mark of the run's own follows the cases into every partition of opora.requests: a
reply to the run's first ticket. Once intake shows the mark's text, everything before it has had its effect.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import httpx

from opora_cli.client import RefusedError, ServiceClient
from opora_cli.conformance.judge import Seen, Shown, Verdict, judge
from opora_cli.conformance.publish import BrokerRefusal, Position, Publish, publishing
from opora_cli.conformance.watch import OpenedTickets, following
from opora_cli.errors import NOT_RUNNING, UNUSABLE_INPUT, CommandError
from opora_contracts.conformance import Case, Record, Run
from opora_contracts.conformance.build import as_json, binary
from opora_contracts.topics import REQUESTS

SCOPES = ("tickets:read", "messages:read", "dead-letters:read")
CLEANING_SCOPES = ("tickets:write", "dead-letters:write")

_ANCHOR = "anchor"
_POLL_SECONDS = 0.2
_PAGE = 200

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Target:
    """The platform under test, by its two interfaces."""

    bootstrap: str
    intake_url: str
    api_key: str
    prefix: str = ""
    """Stands before every topic name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a run saw."""

    run: Run
    verdicts: Sequence[Verdict]
    strays: Sequence[str]
    """Numbers of tickets under the run's source that no case asked for."""
    tickets: Sequence[str]
    """Ids of every ticket that the run opened."""
    letters: Sequence[str]
    """Ids of every dead letter that the run left."""

    @property
    def ok(self) -> bool:
        """Whether the platform answered everything as the contract says."""
        return not self.strays and all(verdict.ok for verdict in self.verdicts)


@dataclass(slots=True)
class _Sent:
    """Where the records of a case went."""

    records: Sequence[Record]
    positions: list[Position | None]
    refusal: str | None = None


async def run_cases(
    target: Target, cases: Sequence[Case], run: Run, *, deadline_seconds: float, say: Callable[[str], None]
) -> Report:
    """Publish the cases and judge the answers; each of three waits takes `deadline_seconds` at most.

    Raises CommandError when intake cannot be asked or takes nothing up, or a KafkaError.
    """
    client = ServiceClient("intake", target.intake_url, target.api_key)
    topic = target.prefix + REQUESTS.name
    try:
        await _check_access(client)
        async with following(target.bootstrap, target.prefix) as opened, publishing(target.bootstrap, topic) as publish:
            anchor = await _anchor(client, publish, run, deadline_seconds)
            say(f"publishing {len(cases)} cases as {run.source} …")
            sent = {case.name: await _send(publish, case.records(run)) for case in cases}
            for partition in range(REQUESTS.partitions):
                await publish(_mark(run, partition), partition)
            say("waiting until intake has gone past the last of them …")
            settled = await _settled_partitions(client, anchor["id"], deadline_seconds)
            seen = await asyncio.gather(*(_look(client, topic, sent[case.name], settled) for case in cases))
            await _wait_for_facts(opened, seen, deadline_seconds)
        verdicts = [judge(case, _with_facts(one, opened)) for case, one in zip(cases, seen, strict=True)]
        return await _report(client, run, verdicts, anchor)
    finally:
        await client.close()


async def clean(target: Target, report: Report) -> tuple[int, int]:
    """Close the run's tickets as cancelled and discard its dead letters; returns how many of each.

    What somebody else closed or discarded meanwhile is not counted. Raises RefusedError when the key lacks a scope.
    """
    client = ServiceClient("intake", target.intake_url, target.api_key)
    try:
        letters = [await _done(client.delete(f"/v1/dead-letters/{letter}")) for letter in report.letters]
        cancelled = {"resolution_code": "cancelled"}
        tickets = [await _done(client.post(f"/v1/tickets/{ticket}/close", cancelled)) for ticket in report.tickets]
    finally:
        await client.close()
    return sum(tickets), sum(letters)


async def _done(call: Awaitable[Any]) -> bool:
    try:
        await call
    except RefusedError as refused:
        if refused.status not in {httpx.codes.NOT_FOUND, httpx.codes.CONFLICT}:
            raise
        return False
    return True


async def _check_access(client: ServiceClient) -> None:
    try:
        await client.get("/v1/tickets", limit=1)
        await client.get("/v1/dead-letters", limit=1)
    except RefusedError as refused:
        raise CommandError(
            f"intake at {client.url} cannot be asked: {refused.problem.get('detail', refused.message)}",
            next_command=f"opora keys create conformance {' '.join(f'--scope {scope}' for scope in SCOPES)}",
            exit_code=UNUSABLE_INPUT,
        ) from refused


async def _anchor(client: ServiceClient, publish: Publish, run: Run, deadline_seconds: float) -> Shown:
    """The run's first ticket. That it appears shows that the platform takes requests up at all."""
    record = binary(data={"title": f"Conformance run {run.name}: its marks are the replies"})(
        run, run.identity(_ANCHOR)
    )
    await publish(record, None)

    async def appeared() -> Shown | None:
        tickets = await _tickets(client, record)
        return tickets[0] if tickets else None

    anchor = await _within(deadline_seconds, appeared)
    if anchor is None:
        raise CommandError(
            f"intake took up nothing from {REQUESTS.name} within {deadline_seconds:g} s: does a process with the role"
            " consume run on this broker, and is --prefix the platform's topic prefix?",
            next_command="opora status",
            exit_code=NOT_RUNNING,
        )
    return anchor


async def _send(publish: Publish, records: Sequence[Record]) -> _Sent:
    sent = _Sent(records, [])
    for record in records:
        try:
            sent.positions.append(await publish(record, None))
        except BrokerRefusal as refusal:
            sent.positions.append(None)
            sent.refusal = str(refusal)
    return sent


def _mark(run: Run, partition: int) -> Record:
    """A reply to the anchor that says of a partition that its end has come."""
    identity = run.identity(_ANCHOR)
    mark = binary(
        type="ticket.reply.submitted",
        id=f"{identity}.{partition}",
        value=as_json({"body": str(partition), "author_kind": "system"}),
        key=f"{identity}.{partition}".encode(),
    )
    return mark(run, identity)


async def _settled_partitions(client: ServiceClient, anchor: str, deadline_seconds: float) -> Collection[int]:
    """The partitions that intake has gone through to their marks: all of them, or those when the time was over."""
    wanted = {str(partition) for partition in range(REQUESTS.partitions)}
    found: set[str] = set()

    async def all_found() -> bool:
        found.update(set(await _messages(client, anchor)) & wanted)
        return found == wanted

    await _within(deadline_seconds, all_found)
    return {int(text) for text in found}


async def _look(client: ServiceClient, topic: str, sent: _Sent, settled: Collection[int]) -> Seen:
    """What intake's API shows of a case."""
    position = sent.positions[-1]
    tickets = await _tickets(client, sent.records[-1])
    return Seen(
        broker_refusal=sent.refusal,
        settled=position is not None and position.partition in settled,
        partition=None if position is None else position.partition,
        offset=None if position is None else position.offset,
        tickets=tickets,
        messages=[text for ticket in tickets for text in await _messages(client, ticket["id"])],
        letters=await _letters(client, topic, position),
    )


async def _wait_for_facts(opened: OpenedTickets, seen: Collection[Seen], deadline_seconds: float) -> None:
    """Until every ticket's first fact has been seen, or the time is over: committed facts are published at once."""
    ids = [ticket["id"] for one in seen for ticket in one.tickets]

    async def all_there() -> bool:
        await opened.read()
        return all(opened.of(ticket_id) for ticket_id in ids)

    await _within(deadline_seconds, all_there)


def _with_facts(seen: Seen, opened: OpenedTickets) -> Seen:
    return replace(seen, created=[fact for ticket in seen.tickets for fact in opened.of(ticket["id"])])


async def _report(client: ServiceClient, run: Run, verdicts: Sequence[Verdict], anchor: Shown) -> Report:
    asked_for = {ticket["id"] for verdict in verdicts for ticket in verdict.seen.tickets}
    strays = [
        one for one in await _pages(client, "/v1/tickets", external_source=run.source) if one["id"] not in asked_for
    ]
    letters = await _pages(client, "/v1/dead-letters", source=run.source)
    ids = {letter["id"]: None for verdict in verdicts for letter in verdict.seen.letters}
    return Report(
        run=run,
        verdicts=verdicts,
        strays=[one["number"] for one in strays if one["id"] != anchor["id"]],
        tickets=sorted({anchor["id"], *asked_for, *(one["id"] for one in strays)}),
        letters=[*dict.fromkeys([*ids, *(letter["id"] for letter in letters)])],
    )


async def _tickets(client: ServiceClient, record: Record) -> list[Any]:
    return await _pages(client, "/v1/tickets", external_source=record.source, external_id=record.subject)


async def _messages(client: ServiceClient, ticket_id: str) -> list[str]:
    return [message["body"] for message in await _pages(client, f"/v1/tickets/{ticket_id}/messages")]


async def _letters(client: ServiceClient, topic: str, position: Position | None) -> list[Any]:
    if position is None:
        return []
    return await _pages(client, "/v1/dead-letters", topic=topic, partition=position.partition, offset=position.offset)


async def _pages(client: ServiceClient, path: str, **parameters: Any) -> list[Any]:
    """Every item of a list."""
    items: list[Any] = []
    cursor = None
    while True:
        page = await client.get(path, limit=_PAGE, cursor=cursor, **parameters)
        items += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return items


async def _within(seconds: float, look: Callable[[], Awaitable[Found]]) -> Found | None:
    """The first truthy answer, or None when there was none in so many seconds."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while True:
                if found := await look():
                    return found
                await asyncio.sleep(_POLL_SECONDS)
    return None
