"""The demonstration's end: let everything settle, look from outside, say what was found."""

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from opora_cli.checks.gather import TopicReader, consumer_lags, read_open_clocks, read_services
from opora_cli.checks.history import Finding, History, ServiceState
from opora_cli.checks.rules import breach_lags_seconds, check, percentile
from opora_cli.client import ServiceClient
from opora_cli.demo.desk import Desk
from opora_cli.demo.tally import Tally
from opora_cli.endpoints import Endpoints
from opora_contracts.feedback import SurveyRequested

_SETTLED_SECONDS = 180.0
_STILL_SECONDS = 25.0
_LOOK_SECONDS = 0.2
_LOOKS_AT_AN_OUTBOX = 25
_SHOWN_VIOLATIONS = 10


@dataclass(frozen=True, slots=True)
class Report:
    """What came out."""

    findings: Sequence[Finding]
    tickets: int
    facts: int
    clocks: dict[str, int]
    mails: int
    ratings: int
    breaches: int
    breach_lag_p50_seconds: float
    breach_lag_p99_seconds: float
    killed: Sequence[str]
    real_seconds: float

    @property
    def holds(self) -> bool:
        """Whether every invariant does."""
        return all(finding.holds for finding in self.findings)


async def settle(endpoints: Endpoints, reader: TopicReader, desk: Desk) -> datetime:
    """Wait until what was done has had its effects; returns the instant until which clocks must have been judged.

    Goes on as long as anything moves, three minutes at most; the checks then say what is missing.
    """
    judged_until = desk.clock.now
    now = time.monotonic()
    deadline, moved_at, seen = now + _SETTLED_SECONDS, now, (-1, -1)
    sla = ServiceClient("sla", endpoints.services["sla"].url, endpoints.api_key)
    try:
        while time.monotonic() < min(deadline, moved_at + _STILL_SECONDS):
            if await _is_settled(endpoints, reader, sla, desk, judged_until):
                break
            moved = (sum(map(len, reader.events.values())), desk.ratings_given)
            if moved != seen:
                seen, moved_at = moved, time.monotonic()
            await asyncio.sleep(_LOOK_SECONDS)
    finally:
        await sla.close()
    return judged_until


async def look(endpoints: Endpoints, reader: TopicReader, desk: Desk, judged_until: datetime) -> History:
    """Gather the history that the checks look at."""
    sla = ServiceClient("sla", endpoints.services["sla"].url, endpoints.api_key)
    try:
        open_clocks = await read_open_clocks(sla)
    finally:
        await sla.close()
    services = await _services_at_rest(endpoints)
    await reader.read_to_end()
    return History(
        acknowledged=desk.acknowledged,
        events=reader.events,
        services=services,
        judged_until=judged_until,
        clock_scale=desk.clock.platform_scale,
        open_clocks=open_clocks,
        survey_links=desk.mail.tokens,
    )


def make_report(history: History, desk: Desk, tally: Tally, killed: Sequence[str], real_seconds: float) -> Report:
    """Apply every check."""
    lags = breach_lags_seconds(history)
    accepted = Finding("no call within the rules was refused", len(desk.acknowledged), (*desk.refusals,))
    return Report(
        findings=[*check(history), accepted],
        tickets=len(tally.step_of),
        facts=sum(len(events) for events in history.events.values()),
        clocks=tally.clocks,
        mails=tally.delivered,
        ratings=desk.ratings_given,
        breaches=len(lags),
        breach_lag_p50_seconds=round(percentile(lags, 50), 3),
        breach_lag_p99_seconds=round(percentile(lags, 99), 3),
        killed=killed,
        real_seconds=round(real_seconds, 1),
    )


def write_report(report: Report, path: Path) -> None:
    """The report as JSON."""
    path.write_text(json.dumps(report_document(report), indent=2, ensure_ascii=False) + "\n", "utf-8")


def report_document(report: Report) -> dict[str, Any]:
    """The report as a JSON document."""
    return {**asdict(report), "holds": report.holds}


def print_report(report: Report, console: Console) -> None:
    """The report for a person; each violated invariant names itself."""
    table = Table(title="checked from outside: topics, databases, mail", title_justify="left")
    for heading in ("invariant", "cases", ""):
        table.add_column(heading, justify="right" if heading == "cases" else "left")
    for finding in report.findings:
        state = "[green]holds[/]" if finding.holds else f"[red]violated {len(finding.violations)} times[/]"
        table.add_row(finding.invariant, str(finding.checked), state)
    console.print(table)
    clocks = ", ".join(f"{count} {name}" for name, count in report.clocks.items())
    console.print(
        f"{report.tickets} tickets, {report.facts} facts; clocks: {clocks};"
        f" {report.mails} mails delivered, {report.ratings} ratings given",
        markup=False,
    )
    console.print(
        f"breach lag in real time (detected_at − due_at): p50 {report.breach_lag_p50_seconds:.3f} s,"
        f" p99 {report.breach_lag_p99_seconds:.3f} s of {report.breaches} breaches",
        markup=False,
    )
    if report.killed:
        console.print(f"killed with SIGKILL on the way: {', '.join(report.killed)}", markup=False)
    for finding in report.findings:
        for violation in finding.violations[:_SHOWN_VIOLATIONS]:
            console.print(f"VIOLATED {finding.invariant}: {violation}", style="red", markup=False, soft_wrap=True)
    words = "every invariant holds" if report.holds else "an invariant is VIOLATED"
    console.print(f"{words}; {report.real_seconds:.0f} s in all", style="bold", markup=False)


async def _services_at_rest(endpoints: Endpoints) -> dict[str, ServiceState]:
    """Every service's state, looked at again while facts are on their way: an outbox is stuck only if it stays full."""
    dsns = {name: service.database_dsn for name, service in endpoints.services.items()}
    services = await read_services(dsns)
    for _ in range(_LOOKS_AT_AN_OUTBOX):
        busy = [name for name, state in services.items() if state.outbox_rows]
        if not busy:
            break
        await asyncio.sleep(_LOOK_SECONDS)
        services |= await read_services({name: dsns[name] for name in busy})
    return services


async def _is_settled(
    endpoints: Endpoints, reader: TopicReader, sla: ServiceClient, desk: Desk, judged_until: datetime
) -> bool:
    await reader.read_to_end()
    status = await sla.get("/v1/status")
    watermarks = [datetime.fromisoformat(watermark) for watermark in status["watermarks"].values()]
    if not watermarks or min(watermarks) < judged_until or status["waiting_for_judgement"]:
        return False
    services = await read_services({name: service.database_dsn for name, service in endpoints.services.items()})
    lags = await consumer_lags(endpoints.kafka_bootstrap)
    if any(state.outbox_rows or state.messages_in_hand for state in services.values()) or any(lags.values()):
        return False
    surveys = sum(isinstance(event.data, SurveyRequested) for event in reader.events["opora.feedback"])
    # The desk keeps reading the mail meanwhile.
    return sum(map(len, desk.mail.tokens.values())) >= surveys and desk.ratings_given >= desk.ratings_to_give
