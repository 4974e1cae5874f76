"""Agreements and calendars from files, as YAML or JSON: what is wrong is said with its line and what to write."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from opora_cli.errors import UNUSABLE_INPUT, CommandError
from opora_sla.agreement import AgreementDocument, Conditions
from opora_sla.calendar.document import CalendarDocument, OpenHours
from opora_sla.calendar.lint import unknown_calendar, with_the_built_in
from opora_sla.calendar.public_holidays import PublicHolidays
from opora_sla.metrics import Metrics, OperationalMetric, ResolutionMetric, ResponseMetric, Target

_MOST_BYTES = 1_000_000
_MOST_PLACES = 100_000
Place = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class WrittenCalendar:
    """A calendar and where it stands."""

    path: Path
    document: CalendarDocument
    place: Place
    lines: Mapping[Place, int]

    def where(self, *field: str | int) -> str:
        """The file, the line where it is known, and the field."""
        return _where(self.path, self.lines, (*self.place, *field))


@dataclass(frozen=True, slots=True)
class WrittenAgreement:
    """An agreement and where it stands."""

    path: Path
    document: AgreementDocument
    place: Place
    lines: Mapping[Place, int]
    calendar: CalendarDocument | None = None
    """The one that it refers to, once that is known."""

    @property
    def hours(self) -> OpenHours:
        """Where its time zone stands."""
        return self.calendar or self.document

    def where(self, *field: str | int) -> str:
        """The file, the line where it is known, and the field."""
        return _where(self.path, self.lines, (*self.place, *field))


@dataclass(frozen=True, slots=True)
class FileProblem:
    """Something that is not usable."""

    where: str
    problem: str

    def __str__(self) -> str:
        return f"{self.where}: {self.problem}"


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """What a file holds, and what is wrong with the rest of it."""

    agreements: list[WrittenAgreement] = field(default_factory=list)
    calendars: list[WrittenCalendar] = field(default_factory=list)
    problems: list[FileProblem] = field(default_factory=list)


def load_agreements(*paths: Path) -> list[WrittenAgreement]:
    """The agreements of files, each with the calendar that it refers to, which may stand in any of them.

    Raises CommandError with everything that is wrong, a line each.
    """
    files = [read_file(path) for path in paths]
    problems = [problem for file in files for problem in file.problems]
    known = with_the_built_in(calendar.document for file in files for calendar in file.calendars)
    agreements = []
    for written in (written for file in files for written in file.agreements):
        name = written.document.calendar
        agreements.append(written if name is None else replace(written, calendar=known.get(name)))
        if name is not None and name not in known:
            problems.append(FileProblem(written.where("calendar"), unknown_calendar(name, known)))
    if not agreements and not problems:
        problems.append(FileProblem(str(paths[0]), "holds no agreement; write one with name and metrics"))
    if problems:
        raise CommandError("\n".join(str(problem) for problem in problems), exit_code=UNUSABLE_INPUT)
    return agreements


def read_agreements(path: Path) -> tuple[list[WrittenAgreement], list[FileProblem]]:
    """The agreements of a file, and what is wrong in it. Raises CommandError when it cannot be read at all."""
    file = read_file(path)
    return file.agreements, file.problems


def read_file(path: Path, bare: type[AgreementDocument | CalendarDocument] = AgreementDocument) -> WrittenFile:
    """The agreements and calendars of a file, and what is wrong with others.

    It holds an agreement or a list of them, or an object with `agreements`, `calendars` or both, each one or a list.
    With `bare`, what stands without such a word above it is a calendar. Raises CommandError when the file cannot be
    read at all.
    """
    text = _text(path)
    try:
        value, lines = _parsed(text, is_json=path.suffix.lower() == ".json")
    except _SyntaxProblem as problem:
        where = f"{path}:{problem.line}" if problem.line else str(path)
        return WrittenFile(problems=[FileProblem(where, problem.words)])
    file = WrittenFile()
    if isinstance(value, dict) and value.keys() & _PARTS.keys():
        for word, part in value.items():
            if word in _PARTS:
                _take(file, part, _PARTS[word], path=path, lines=lines, above=(word,))
            else:
                words = f"unknown field; write {' and '.join(_PARTS)} here, and all else within them"
                file.problems.append(FileProblem(_where(path, lines, (word,)), words))
    else:
        _take(file, value, bare, path=path, lines=lines, above=())
        if isinstance(value, list) and not value:
            what = "holds no agreement; write an object with name and metrics"
            file.problems.append(FileProblem(str(path), what))
    return file


_PARTS: Mapping[str, type[AgreementDocument | CalendarDocument]] = {
    "agreements": AgreementDocument,
    "calendars": CalendarDocument,
}


def _take(
    file: WrittenFile,
    value: Any,
    kind: type[AgreementDocument | CalendarDocument],
    *,
    path: Path,
    lines: Mapping[Place, int],
    above: Place,
) -> None:
    listed = isinstance(value, list)
    for number, one in enumerate(value if listed else [value]):
        place: Place = (*above, number) if listed else above
        if not isinstance(one, dict):
            words = (
                "is no agreement; write an object with name and metrics, or a list of such"
                if kind is AgreementDocument
                else "is no calendar; write an object with name and weekly_hours, or a list of such"
            )
            file.problems.append(FileProblem(_where(path, lines, place), words))
            continue
        try:
            document = kind.model_validate(one)
        except ValidationError as error:
            file.problems.extend(_told(path, lines, place, problem, kind) for problem in error.errors())
            continue
        if isinstance(document, AgreementDocument):
            file.agreements.append(WrittenAgreement(path, document, place, lines))
        else:
            file.calendars.append(WrittenCalendar(path, document, place, lines))


class _SyntaxProblem(Exception):  # noqa: N818  it never leaves this module
    def __init__(self, line: int | None, words: str) -> None:
        super().__init__(words)
        self.line = line
        self.words = words


class _Loader(yaml.SafeLoader):
    """YAML with JSON's types only, and each key once: 17:00 is no number here, 2026-12-25 no date, `on` no truth."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("tag:yaml.org,2002:bool", r"^(?:true|false)$", "tf"),
    ("tag:yaml.org,2002:null", r"^(?:~|null|)$", ("~", "n", "")),
    ("tag:yaml.org,2002:int", r"^-?(?:0|[1-9][0-9]*)$", "-0123456789"),
    ("tag:yaml.org,2002:float", r"^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?$", "-0123456789"),
):
    _Loader.add_implicit_resolver(_tag, re.compile(_pattern), list(_first))


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}", exit_code=UNUSABLE_INPUT) from error
    if len(content) > _MOST_BYTES:
        raise CommandError(f"{path} is longer than {_MOST_BYTES:,} bytes: no agreement is", exit_code=UNUSABLE_INPUT)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CommandError(f"{path} is not UTF-8: {error.reason}", exit_code=UNUSABLE_INPUT) from error


def _parsed(text: str, *, is_json: bool) -> tuple[Any, dict[Place, int]]:
    """The value, and for each place in it the line where it stands. Raises _SyntaxProblem."""
    if is_json:
        try:
            value = json.loads(text, object_pairs_hook=_each_key_once)
        except json.JSONDecodeError as error:
            raise _SyntaxProblem(error.lineno, f"no JSON: {error.msg}") from None
        except (ValueError, RecursionError) as error:
            raise _SyntaxProblem(None, f"no JSON: {error}") from None
        try:
            # JSON is YAML too, but for tabs between its tokens; they stand for as many blanks here.
            return value, _lines(yaml.compose(text.replace("\t", " "), _Loader))
        except (yaml.YAMLError, RecursionError):
            return value, {}
    try:
        node = yaml.compose(text, _Loader)
        if node is None:
            raise _SyntaxProblem(None, "is empty; write an object with name and metrics")
        lines = _lines(node)
        return yaml.load(text, _Loader), lines  # noqa: S506  a SafeLoader with fewer types
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise _SyntaxProblem(line, f"no YAML: {error.problem or error}") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise _SyntaxProblem(None, f"no YAML: {error}") from None


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice!r} stands twice in one object; write it once")
    return found


def _lines(root: yaml.Node | None) -> dict[Place, int]:
    """The line of every place; what an alias repeats stands where its anchor is. Raises _SyntaxProblem."""
    lines: dict[Place, int] = {}

    def visit(node: yaml.Node, place: Place, line: int, above: tuple[int, ...]) -> None:
        lines[place] = line
        if len(lines) > _MOST_PLACES:
            raise _SyntaxProblem(line, f"has more than {_MOST_PLACES:,} values, aliases written out")
        if id(node) in above:
            raise _SyntaxProblem(line, "refers to itself")
        for part, below, below_line in _parts(node):
            visit(below, (*place, part), below_line, (*above, id(node)))

    if root is not None:
        visit(root, (), root.start_mark.line + 1, ())
    return lines


def _parts(node: yaml.Node) -> Iterator[tuple[str | int, yaml.Node, int]]:
    """What stands in a node, with its key or number and its line. Raises _SyntaxProblem for a key that comes twice."""
    if isinstance(node, yaml.SequenceNode):
        for number, below in enumerate(node.value):
            yield number, below, below.start_mark.line + 1
    elif isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, below in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise _SyntaxProblem(line, "a key must be a word")
            if key.value in seen:
                raise _SyntaxProblem(line, f"{key.value!r} stands twice; write it once")
            seen.add(key.value)
            yield key.value, below, line


def _where(path: Path, lines: Mapping[Place, int], place: Place) -> str:
    known = place
    while known and known not in lines:
        known = known[:-1]
    line = f":{lines[known]}" if known in lines else ""
    return f"{path}{line}" + (f": {'.'.join(str(part) for part in place)}" if place else "")


def _told(
    path: Path, lines: Mapping[Place, int], above: Place, problem: Mapping[str, Any], kind: type[BaseModel]
) -> FileProblem:
    place: Place = tuple(problem["loc"])
    is_key = bool(place) and place[-1] == "[key]"
    if is_key:
        place = place[:-1]
    return FileProblem(_where(path, lines, (*above, *place)), _words(place, problem, kind, is_key=is_key))


def _words(place: Place, problem: Mapping[str, Any], kind: type[BaseModel], *, is_key: bool) -> str:
    message: str = problem["msg"].removeprefix("Value error, ")
    match problem["type"]:
        case "extra_forbidden":
            return _unknown(place, kind)
        case "missing":
            return "is missing; write it"
        case "value_error":
            return message
    expected = message.removeprefix("Input should be ").removeprefix("a valid ")
    given = place[-1] if is_key else problem["input"]
    shown = repr(given)[:60] if isinstance(given, str | int | float | bool | None) else "what stands here"
    return f"{shown} cannot stand here; write {expected}" if expected != message else f"{shown}: {message}"


def _unknown(place: Place, kind: type[BaseModel]) -> str:
    fields = list(_model_at(place[:-1], kind).model_fields)
    near = get_close_matches(str(place[-1]), fields, n=1)
    return f"unknown field; write {near[0]}" if near else f"unknown field; write one of {', '.join(fields)}"


def _model_at(place: Sequence[str | int], kind: type[BaseModel]) -> type[BaseModel]:
    at = tuple(place)
    for shape, model in _MODELS.items():
        if len(at) == len(shape) and all(part in ("*", found) for part, found in zip(shape, at, strict=True)):
            return model
    return kind


_MODELS: Mapping[Place, type[BaseModel]] = {
    ("conditions",): Conditions,
    ("metrics",): Metrics,
    ("metrics", "resolution"): ResolutionMetric,
    ("metrics", "*"): ResponseMetric,
    ("metrics", "*", "targets", "*"): Target,
    ("metrics", "operational", "*"): OperationalMetric,
    ("metrics", "operational", "*", "targets", "*"): Target,
    ("holidays_of",): PublicHolidays,
}
