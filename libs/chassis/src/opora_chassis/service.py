"""A service as its parts, and the command line that runs it in roles.

    python -m opora_X serve relay          HTTP and the outbox relay in one process
    python -m opora_X all                  every role in one process
    python -m opora_X migrate pre          the schema that the new code needs
    python -m opora_X redrive --all        dead letters again

Exit codes: 0 done or drained, 1 a part crashed or hung or a redrive left letters, 2 it could not start.
"""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn
from uuid import UUID

import structlog
import uvloop
from fastapi import APIRouter
from pydantic import ValidationError

from opora_chassis import telemetry
from opora_chassis.consume import Subscription, redrive
from opora_chassis.http.dead_letters import dead_letter_routes
from opora_chassis.marks import FollowMarks, MarkSource
from opora_chassis.migrations import Migration, MigrationError, Phase, all_migrations, migrate
from opora_chassis.platform import Platform
from opora_chassis.settings import ServiceSettings

log = structlog.get_logger()

ROLES = frozenset({"serve", "consume", "relay", "timers"})
_USAGE = "python -m opora_%s (serve|consume|relay|timers|all)... | migrate [pre|post|all] | redrive (--id|--key|--all)"


@dataclass(frozen=True, slots=True)
class Loop:
    """Work of the `timers` role. `run` goes on until `stop` is set; when it raises it is logged and begun again."""

    name: str
    run: Callable[[asyncio.Event], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Parts:
    """What a service is made of; each role takes its own."""

    routers: Sequence[APIRouter] = ()
    """serve"""
    subscriptions: Sequence[Subscription] = ()
    """consume"""
    loops: Sequence[Loop] = ()
    """timers"""
    follow_marks: FollowMarks | None = None
    """consume: be told how far a topic is complete."""
    publish_marks: MarkSource | None = None
    """relay: tell others how far our facts are complete."""
    form_paths: Sequence[str] = ()
    """serve: paths that begin so take web forms as well as JSON."""
    uploads: str | None = None
    """serve: paths that match this expression take bodies of any type and size; their routes read them in pieces."""

    def served(self) -> tuple[APIRouter, ...]:
        """What the serve role answers: the service's own routes, and those over its subscriptions' dead letters."""
        return (*self.routers, dead_letter_routes(self.subscriptions))


@dataclass(frozen=True, slots=True)
class Service:
    """A service: its name, and how to set it, migrate it and put it together."""

    name: str
    settings: type[ServiceSettings]
    migrations: Path
    compose: Callable[[Platform], Parts]

    def all_migrations(self) -> list[Migration]:
        """The chassis' migrations and its own, in order."""
        return all_migrations(self.name, self.migrations)


class StartError(Exception):
    """The process must not start as things are; the message says what to do."""


def main(service: Service, argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and end the process."""
    sys.exit(_run(service, sys.argv[1:] if argv is None else argv))


def _run(service: Service, argv: Sequence[str]) -> int:
    options = _parse(service, argv)
    try:
        settings = service.settings()
        telemetry.configure(service.name, settings)
        return uvloop.run(_command(service, settings, options))
    except ValidationError as error:
        telemetry.configure_logs(service.name)
        reasons = "; ".join(f"{_variable(problem['loc'])}: {problem['msg']}" for problem in error.errors())
        reason = f"settings are not usable: {reasons}"
    except (StartError, MigrationError, telemetry.TelemetryError) as error:
        reason = str(error)
    log.error("cannot_start", reason=reason)
    return 2


def _parse(service: Service, argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"opora_{service.name}", usage=_USAGE % service.name)
    parser.add_argument("words", nargs="+", metavar="ROLE", help="one or several roles, or migrate, or redrive")
    parser.add_argument("--id", type=UUID, help="redrive: the key of this dead letter")
    parser.add_argument("--key", help="redrive: this key")
    parser.add_argument("--all", action="store_true", help="redrive: every parked key")
    options = parser.parse_args(argv)
    match options.words:
        case ["migrate"] | ["migrate", "pre" | "post" | "all"]:
            pass
        case ["redrive"]:
            if [options.id is not None, options.key is not None, options.all].count(True) != 1:
                parser.error("redrive takes one of --id, --key, --all")
        case roles if set(roles) <= ROLES | {"all"}:
            pass
        case _:
            parser.error(f"unknown: {' '.join(options.words)}")
    return options


async def _command(service: Service, settings: ServiceSettings, options: argparse.Namespace) -> int:
    from opora_chassis.process import run_roles

    match options.words:
        case ["migrate", *phase]:
            return await _migrate(service, settings, phase[0] if phase else "all")
        case ["redrive"]:
            return await _redrive(service, settings, options.key, options.id)
        case roles:
            return await run_roles(service, settings, ROLES if "all" in roles else frozenset(roles))


async def _migrate(service: Service, settings: ServiceSettings, phase: str) -> int:
    from opora_chassis.process import until_answered

    phases: tuple[Phase, ...] = ("pre",) if phase == "pre" else ("post",) if phase == "post" else ("pre", "post")
    dsn = settings.database_dsn.get_secret_value()
    migrations = service.all_migrations()
    applied = await until_answered("database", lambda: migrate(dsn, migrations, phases))
    log.info("migrated", phases=phases, applied=applied)
    return 0


async def _redrive(service: Service, settings: ServiceSettings, key: str | None, letter: UUID | None) -> int:
    from opora_chassis.process import open_platform

    platform = await open_platform(service, settings)
    try:
        subscriptions = service.compose(platform).subscriptions
        report = await redrive(platform.database, subscriptions, key=key, dead_letter_id=letter)
    finally:
        await platform.database.close()
    log.info(
        "redriven", redriven=report.redriven, failed=report.failed, remaining=report.remaining, detail=report.detail
    )
    return 1 if report.failed else 0


def _variable(location: tuple[int | str, ...]) -> str:
    return "OPORA_" + "_".join(str(part) for part in location).upper()
