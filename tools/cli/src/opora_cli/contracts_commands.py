"""`opora contracts …`: event types, the compatibility gate, the contracts as files, and a check before publishing."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from opora_cli.console import AsJson, err, out, print_json
from opora_cli.errors import PROBLEMS_FOUND, UNUSABLE_INPUT, CommandError
from opora_contracts import TOPICS, Fact, catalogue
from opora_contracts.asyncapi import DEFAULT_BOOTSTRAP, asyncapi_document
from opora_contracts.export import example_files, schema_files
from opora_contracts.fact import fact_type, versions_of
from opora_contracts.gate import GateRefusal, check_all, examples, freeze, schema_of

contracts_app = typer.Typer(no_args_is_help=True, help="Event types, their schemas and the compatibility gate.")

Folder = Annotated[
    Path, typer.Argument(metavar="DIR", help="Made if it is not there; files of the same name replaced.")
]


@contracts_app.command("check")
def check_contracts(*, as_json: AsJson = False) -> None:
    """Compare the models with every committed schema, both ways, and read the golden examples.

    Exit codes: 0 every promise is kept, 1 one is broken.
    """
    violations = check_all()
    if as_json:
        print_json([asdict(one) for one in violations])
    elif not violations:
        out.print(f"[green]ok[/] {len(catalogue())} event types keep their promises")
    else:
        table = Table("type", "version", "revision", "field", "rule", "who fails", "why")
        for one in violations:
            revision = "" if one.revision is None else str(one.revision)
            table.add_row(one.type, str(one.version), revision, one.field_path, one.rule, one.direction, one.detail)
        out.print(table)
    if violations:
        raise typer.Exit(PROBLEMS_FOUND)


@contracts_app.command("freeze")
def freeze_contracts() -> None:
    """Write a new schema revision of each model that changed; nothing at all when a rule is broken.

    Exit codes: 0 written, or nothing to write; 1 a rule is broken.
    """
    try:
        written = freeze()
    except GateRefusal as refusal:
        for violation in refusal.violations:
            err.print(str(violation), markup=False, soft_wrap=True)
        err.print(
            "Nothing was frozen. Add optional fields only, or define a new version beside this one.", markup=False
        )
        raise typer.Exit(PROBLEMS_FOUND) from None
    for path in written:
        out.print(str(path), markup=False, soft_wrap=True)
    out.print(f"{len(written)} schemas written" if written else "nothing to freeze: the schemas equal the models")


@contracts_app.command("validate")
def validate_events(
    file: Annotated[
        str, typer.Argument(help="Structured CloudEvents: one, an array, or JSON lines; - reads standard input.")
    ],
    *,
    as_json: AsJson = False,
) -> None:
    """Say of each event whether Opora would take it, and if not, exactly what is wrong with it.

    Exit codes: 0 all are valid, 1 one is not, 2 the file cannot be read or holds no event.
    """
    from opora_cli.events import verdicts

    judged = verdicts.read_verdicts(file)
    valid = all(one.valid for one in judged)
    if as_json:
        print_json({"valid": valid, "events": [verdicts.as_document(one) for one in judged]})
    else:
        verdicts.say(judged)
    if not valid:
        raise typer.Exit(PROBLEMS_FOUND)


@contracts_app.command("show")
def show_type(
    event_type: Annotated[str, typer.Argument(metavar="TYPE", help="Such as ticket.submitted.")],
    *,
    version: Annotated[int | None, typer.Option(help="The major version; the newest when not given.")] = None,
) -> None:
    """Print the JSON Schema of a type's data and its golden examples, as one JSON document.

    Exit codes: 0 shown, 1 there is no such type or version.
    """
    known = versions_of(event_type)
    wanted = version if version is not None else max(known, default=0)
    model = fact_type(event_type, wanted)
    if model is None:
        if known:
            raise CommandError(f"{event_type} has the versions {', '.join(map(str, known))}")
        raise CommandError(f"no event type is called {event_type!r}", next_command="opora contracts list")
    golden = {name: json.loads(document) for name, document in examples().get((event_type, wanted), {}).items()}
    print_json({"topic": _topic_name(model), "schema": schema_of(model), "examples": golden})


@contracts_app.command("list")
def list_types(*, as_json: AsJson = False) -> None:
    """List every event type with its topic and meaning. Exit codes: 0 listed."""
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
        print_json(rows)
        return
    table = Table("type", "version", "topic", "meaning")
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    out.print(table)


@contracts_app.command("asyncapi")
def asyncapi(
    *,
    out_file: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write there instead of standard output.")
    ] = None,
    bootstrap: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where readers of the document find the broker.")
    ] = DEFAULT_BOOTSTRAP,
) -> None:
    """Write the whole platform as one AsyncAPI 3.0 document: topics, who sends and receives, messages, schemas.

    It is JSON, which is YAML as well. Exit codes: 0 written, 2 the file cannot be written.
    """
    document = asyncapi_document(bootstrap)
    if out_file is None:
        print_json(document)
        return
    _write(out_file, (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode())
    out.print(
        f"{out_file}: {len(document['channels'])} channels, {len(document['components']['messages'])} messages",
        markup=False,
        soft_wrap=True,
    )


@contracts_app.command("schemas")
def write_schemas(folder: Folder) -> None:
    """Write the JSON Schema of every type as DIR/<type>/<major version>.json, and an index.

    Each keeps its `$id`, urn:opora:schema:<type>:<major version>, for good.
    Exit codes: 0 written, 2 DIR cannot be written.
    """
    _write_files(folder, schema_files(), "schemas")


@contracts_app.command("examples")
def write_examples(folder: Folder) -> None:
    """Write the golden examples as DIR/<type>/<major version>/<minimal or full>.json, and an index.

    Each is a structured CloudEvent, for tests of your own. Exit codes: 0 written, 2 DIR cannot be written.
    """
    _write_files(folder, example_files(), "examples")


def _write_files(folder: Path, files: Mapping[str, bytes], what: str) -> None:
    for name, content in files.items():
        _write(folder / name, content)
    out.print(f"{len(files) - 1} {what} and their index written to {folder}", markup=False, soft_wrap=True)


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}", exit_code=UNUSABLE_INPUT) from error


def _topic_name(model: type[Fact]) -> str:
    return next((topic.name for topic in TOPICS if model in topic.types), "")
