"""`opora contracts openapi`: the HTTP interfaces as files, without a running platform."""

import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from opora_chassis.openapi import document_of
from opora_chassis.service import Service
from opora_cli.errors import UNUSABLE_INPUT, CommandError
from opora_cli.stack import SERVICES


def openapi_documents() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each service's name and OpenAPI document."""
    for name in SERVICES:
        service: Service = import_module(f"opora_{name}.app").SERVICE
        yield name, document_of(service)


def write_openapi(
    directory: Annotated[Path, typer.Argument(help="Where the files go; it is made if it does not exist.")],
) -> None:
    """Write the OpenAPI 3.1 document of each service as DIRECTORY/SERVICE.openapi.json; no platform has to run.

    Exit codes: 0 written, 2 the directory cannot be written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, document in openapi_documents():
            path = directory / f"{name}.openapi.json"
            path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", "utf-8")
            typer.echo(str(path))
    except OSError as error:
        raise CommandError(f"{directory} cannot be written: {error.strerror}", exit_code=UNUSABLE_INPUT) from error
