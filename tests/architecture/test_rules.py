"""The rules of the house that no linter knows. Each reads the source; each is shown to find a breach of itself."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(path for folder in ("libs", "services", "tools") for path in (ROOT / folder).glob("*/src/**/*.py"))
SOURCES += sorted((ROOT / "tools").glob("cli/src/**/*.py"))
SQL = re.compile(r"\b(select\s.+\sfrom|insert\s+into|update\s+\w+\s+set|delete\s+from|create\s+table)\b", re.IGNORECASE)
SQL_HOMES = re.compile(r"(/store\.py|/store/\w+\.py|libs/chassis/src/.*|libs/embedded/src/opora_embedded/store\.py)$")
WALL_CLOCK = {("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today"), ("date", "today"), ("time", "time")}
WALL_CLOCK_HOMES = (
    "opora_chassis/clock.py",
    # Runs in other systems' programs, where the platform's clock is not: dates what its caller has not dated.
    "opora_contracts/publisher.py",
)
MOST_LINES = 420


def strings_of(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every string literal that is not a docstring."""
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.lineno, node.value


def sql_outside_its_room(path: str, source: str) -> list[str]:
    """Places where SQL text stands outside a store, the chassis or a .sql file."""
    if SQL_HOMES.search(path):
        return []
    return [f"{path}:{line}" for line, text in strings_of(ast.parse(source)) if SQL.search(" ".join(text.split()))]


def wall_clocks(path: str, source: str) -> list[str]:
    """Places that read a wall clock outside the chassis' clock."""
    if path.endswith(WALL_CLOCK_HOMES):
        return []
    return [
        f"{path}:{node.lineno}"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and (node.value.id, node.attr) in WALL_CLOCK
    ]


def subscribers(path: str, source: str) -> list[str]:
    """Places outside the chassis that make a subscriber or use FastStream at all."""
    if "libs/chassis/src" in path:
        return []
    return [
        f"{path}:{node.lineno}"
        for node in ast.walk(ast.parse(source))
        if (isinstance(node, ast.ImportFrom) and (node.module or "").startswith("faststream"))
        or (isinstance(node, ast.Import) and any(name.name.startswith("faststream") for name in node.names))
    ]


def producers(path: str, source: str) -> list[str]:
    """Services that could publish past the outbox."""
    if "services/" not in path:
        return []
    return [
        f"{path}:{node.lineno}"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom | ast.Import)
        and re.search(r"\baiokafka\b|\bopora_contracts\b.*\bpublisher\b", ast.unparse(node))
    ]


def database_time(path: str, source: str) -> list[str]:
    """Services whose SQL takes a domain time from the server, which no warped clock could reach."""
    if "services/" not in path:
        return []
    clock = re.compile(r"\b(now\(\)|current_timestamp|clock_timestamp\(\))", re.IGNORECASE)
    return [f"{path}:{line}" for line, text in strings_of(ast.parse(source)) if clock.search(text)]


RULES = {
    "SQL text stands in store modules, the chassis and .sql files only": (
        sql_outside_its_room,
        ("services/x/src/opora_x/api.py", 'rows = "select a from b"'),
    ),
    "No wall clock outside opora_chassis.clock": (
        wall_clocks,
        ("services/x/api.py", "from datetime import datetime\ndatetime.now()"),
    ),
    "Every subscriber comes from the chassis": (
        subscribers,
        ("services/x/app.py", "from faststream.kafka import KafkaBroker"),
    ),
    "Only the relay publishes": (producers, ("services/x/src/handlers.py", "from aiokafka import AIOKafkaProducer")),
    "Domain times come from the transaction": (
        database_time,
        ("services/x/store.py", 'sql = "insert into t values (now())"'),
    ),
}


@pytest.mark.parametrize("rule", RULES)
def test_the_source_keeps_the_rule(rule: str) -> None:
    """No source file breaks the rule."""
    check, _ = RULES[rule]
    broken = [place for path in SOURCES for place in check(path.relative_to(ROOT).as_posix(), path.read_text("utf-8"))]
    assert broken == [], f"{rule}: {broken}"


@pytest.mark.parametrize("rule", RULES)
def test_the_rule_finds_a_breach(rule: str) -> None:
    """The check is no formality: it reports a source that breaks the rule."""
    check, (path, source) = RULES[rule]
    assert len(check(path, source)) == 1


def test_no_source_file_outgrows_a_reader() -> None:
    """A file stays within what a person holds in the head."""
    long = {
        path.relative_to(ROOT).as_posix(): lines
        for path in SOURCES
        if (lines := len(path.read_text("utf-8").splitlines())) > MOST_LINES
    }
    assert long == {}


def test_every_test_says_the_behaviour_in_a_sentence() -> None:
    """Each test function has a docstring."""
    silent = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sorted(ROOT.glob("*/**/tests/**/test_*.py")) + sorted((ROOT / "tests").glob("**/test_*.py"))
        if ".venv" not in path.parts
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not ast.get_docstring(node)
    ]
    assert silent == []
