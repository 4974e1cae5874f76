"""`opora contracts …`: the event types, the compatibility gate, and a check of one's own events before publishing."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from opora_contracts import TOPICS, Fact, ReasonCode, UndecodableEvent, UnknownEvent, catalogue, decode_structured
from opora_contracts.fact import fact_type, versions_of
from opora_contracts.gate import GateRefusal, check_all, examples, freeze, schema_of

contracts_app = typer.Typer(no_args_is_help=True, help="Event types, their schemas and the compatibility gate.")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


@contracts_app.command("check")
def check_contracts(as_json: AsJson = False) -> None:
    """Compare the models with every committed schema, both ways, and read the golden examples. Exit 1 if broken."""
    violations = check_all()
    if as_json:
        _print_json([asdict(one) for one in violations])
    elif not violations:
        _console().print(f"[green]ok[/] {len(catalogue())} event types keep their promises")
    else:
        table = Table("type", "version", "revision", "field", "rule", "who fails", "why")
        for one in violations:
            revision = "" if one.revision is None else str(one.revision)
            table.add_row(one.type, str(one.version), revision, one.field_path, one.rule, one.direction, one.detail)
        _console().print(table)
    if violations:
        raise typer.Exit(1)


@contracts_app.command("freeze")
def freeze_contracts() -> None:
    """Write a new schema revision of each model that changed; nothing at all when a rule is broken."""
    try:
        written = freeze()
    except GateRefusal as refusal:
        for violation in refusal.violations:
            typer.echo(str(violation), err=True)
        typer.echo("Nothing was frozen. Add optional fields only, or define a new version beside this one.", err=True)
        raise typer.Exit(1) from None
    for path in written:
        typer.echo(str(path))
    typer.echo(f"{len(written)} schemas written" if written else "nothing to freeze: the schemas equal the models")


@contracts_app.command("validate")
def validate_event(
    file: Annotated[str, typer.Argument(help="A structured CloudEvent in JSON; - reads standard input.")],
    as_json: AsJson = False,
) -> None:
    """Say whether Opora would take this event, and if not, exactly what is wrong with it. Exit 1 if it would not."""
    ignored: list[str] = []
    answer: dict[str, Any]
    try:
        event = decode_structured(_read(file), on_unknown_fields=lambda _, names: ignored.extend(names))
    except UndecodableEvent as error:
        answer = {"valid": False, "reason": error.reason_code, "detail": error.detail}
    else:
        answer = {"valid": True, "type": event.type, "version": event.version, "ignored_fields": ignored}
        if isinstance(event, UnknownEvent):
            answer = {"valid": False, "reason": "unknown_type", "detail": _unknown_type(event.type)}
    if as_json:
        _print_json(answer)
    elif answer["valid"]:
        typer.echo(f"valid: {answer['type']} version {answer['version']}")
        if ignored:
            typer.echo(f"warning: fields that this type does not have are ignored: {', '.join(ignored)}", err=True)
    else:
        typer.echo(f"not valid: {answer['reason']}: {answer['detail']}", err=True)
        if answer["reason"] == ReasonCode.WRONG_SCHEMA:
            typer.echo("`opora contracts show TYPE` prints the schema and an example.", err=True)
    if not answer["valid"]:
        raise typer.Exit(1)


@contracts_app.command("show")
def show_type(
    event_type: Annotated[str, typer.Argument(metavar="TYPE", help="Such as ticket.submitted.")],
    version: Annotated[int | None, typer.Option(help="The major version; the newest when not given.")] = None,
) -> None:
    """Print the JSON Schema of a type's data and its golden examples, as one JSON document."""
    known = versions_of(event_type)
    wanted = version if version is not None else max(known, default=0)
    model = fact_type(event_type, wanted)
    if model is None:
        versions = f"{event_type} has the versions {', '.join(map(str, known))}" if known else _unknown_type(event_type)
        typer.echo(versions, err=True)
        raise typer.Exit(1)
    golden = {name: json.loads(document) for name, document in examples().get((event_type, wanted), {}).items()}
    _print_json({"topic": _topic_name(model), "schema": schema_of(model), "examples": golden})


@contracts_app.command("list")
def list_types(as_json: AsJson = False) -> None:
    """List every event type with its topic and meaning."""
    rows = [
        {
            "type": name,
            "version": version,
            "topic": _topic_name(model),
            "description": " ".join((model.__doc__ or "").split()),
        }
        for (name, version), model in sorted(catalogue().items())
    ]
    if as_json:
        _print_json(rows)
        return
    table = Table("type", "version", "topic", "meaning")
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    _console().print(table)


def _unknown_type(event_type: str) -> str:
    return f"no event type is called {event_type!r}; `opora contracts list` names them all"


def _topic_name(model: type[Fact]) -> str:
    return next((topic.name for topic in TOPICS if model in topic.types), "")


def _read(file: str) -> bytes:
    if file == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except OSError as error:
        typer.echo(f"{file} cannot be read: {error.strerror}", err=True)
        raise typer.Exit(1) from None


def _console() -> Console:
    return Console()


def _print_json(document: Any) -> None:
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False))
