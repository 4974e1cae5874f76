"""What is wrong with events in a file, in one set of words for `contracts validate` and `events publish`."""

import sys
from pathlib import Path
from typing import Any

from opora_cli.console import err, out
from opora_cli.errors import UNUSABLE_INPUT, CommandError
from opora_contracts import ReasonCode
from opora_contracts.attributes import shown
from opora_contracts.documents import Verdict, judge
from opora_contracts.publishing import refusal

_HELP = {
    ReasonCode.WRONG_SCHEMA: "`opora contracts show TYPE` prints the schema and an example.",
    "unknown_type": "`opora contracts list` names every type.",
}


def read_verdicts(file: str) -> list[Verdict]:
    """A verdict for each event of a file, `-` for standard input. Raises CommandError when there is none to judge."""
    name = "standard input" if file == "-" else file
    try:
        raw = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}", exit_code=UNUSABLE_INPUT) from error
    verdicts = judge(raw)
    if not verdicts:
        raise CommandError(
            f"{name} holds no event: expected a structured CloudEvent in JSON, an array of them, or JSON lines",
            exit_code=UNUSABLE_INPUT,
        )
    return verdicts


def say(verdicts: list[Verdict]) -> None:
    """Valid events on standard output; what is wrong, what is ignored, and what to do about it on standard error."""
    for verdict in verdicts:
        prefix = _place(verdict)
        if verdict.valid:
            out.print(f"{prefix}valid: {verdict.type} version {verdict.version}", markup=False, soft_wrap=True)
        else:
            _complain(f"{prefix}not valid: {verdict.reason}: {verdict.detail}")
        warn([verdict])
        if verdict.event is not None and (problem := refusal(verdict.event)) is not None:
            _complain(f"{prefix}note: {problem}")
    for reason in dict.fromkeys(verdict.reason for verdict in verdicts):
        if reason in _HELP:
            _complain(_HELP[reason])
    if len(verdicts) > 1:
        valid = sum(verdict.valid for verdict in verdicts)
        _complain(f"{len(verdicts)} events: {valid} valid, {len(verdicts) - valid} not")


def warn(verdicts: list[Verdict]) -> None:
    """What readers will pass over."""
    for verdict in verdicts:
        if verdict.ignored_fields:
            names = ", ".join(map(shown, verdict.ignored_fields))
            _complain(f"{_place(verdict)}warning: fields that this type does not have are ignored: {names}")


def as_document(verdict: Verdict) -> dict[str, Any]:
    """A verdict for a script."""
    return {
        "where": verdict.where,
        "line": verdict.line,
        "valid": verdict.valid,
        "type": verdict.type,
        "version": verdict.version,
        "topic": None if verdict.topic is None else verdict.topic.name,
        "may_be_published": verdict.event is not None and refusal(verdict.event) is None,
        "reason": verdict.reason,
        "detail": verdict.detail,
        "ignored_fields": list(verdict.ignored_fields),
    }


def _place(verdict: Verdict) -> str:
    return f"{verdict.where} (line {verdict.line}): " if verdict.where else ""


def _complain(line: str) -> None:
    err.print(line, markup=False, soft_wrap=True)
