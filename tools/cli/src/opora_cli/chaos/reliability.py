"""The part of docs/reliability.md that a run writes: seed, faults, and what was checked under each. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

BEGIN = "<!-- run: written by `opora chaos --full --report FILE` -->"
END = "<!-- /run -->"


def with_run(page: str, report: Mapping[str, Any], at: datetime) -> str:
    """The page with its generated part replaced. Raises ValueError when it has no place for one."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page lacks the lines {BEGIN} and {END}, between which the run is written")
    return f"{before}{BEGIN}\n\n{_part(report, at)}\n\n{END}{after}"


def _part(report: Mapping[str, Any], at: datetime) -> str:
    rounds = report["rounds"]
    acknowledged = sum(each["acknowledged"] for each in rounds)
    seconds = sum(each["seconds"] for each in rounds)
    faults = sum(len(each["faults"]) for each in rounds)
    violations = [violation for each in rounds for finding in each["findings"] for violation in finding["violations"]]
    lines = [
        (
            f"Run of {at:%Y-%m-%d}, seed {report['seed']}: {len(rounds)} rounds, {faults} faults, {acknowledged:,}"
            f" writes acknowledged in {seconds / 60:.0f} minutes, {len(violations)} violations."
        ),
        "",
        *_table(
            ["round", "faults", "acknowledged", "at rest after", *_ids(rounds)],
            [
                [
                    ", ".join(each["rounds"]),
                    str(len(each["faults"])),
                    str(each["acknowledged"]),
                    "never" if each["settled_after_seconds"] is None else f"{each['settled_after_seconds']:.0f} s",
                    *(_cell(each, name) for name in _ids(rounds)),
                ]
                for each in rounds
            ],
        ),
        "",
        "A number says how many cases were looked at and hold, over everything since the run began.",
    ]
    if report.get("sometimes"):
        lines += ["", "What has to happen for a run to prove anything, and how often it did:", ""]
        lines += _table(["", "times"], [[name, f"{count:,}"] for name, count in report["sometimes"].items()])
    if violations:
        lines += ["", "Violations:", "", *(f"* {violation}" for violation in violations)]
    return "\n".join(lines)


def _ids(rounds: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(finding["id"] for each in rounds for finding in each["findings"]))


def _cell(of: Mapping[str, Any], name: str) -> str:
    found = [finding for finding in of["findings"] if finding["id"] == name]
    if not found:
        return ""
    violated = sum(len(finding["violations"]) for finding in found)
    return f"**{violated} violated**" if violated else f"{sum(finding['checked'] for finding in found):,}"


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [
        "| " + " | ".join(headings) + " |",
        "|" + "---|" * len(headings),
        *("| " + " | ".join(row) + " |" for row in rows),
    ]
