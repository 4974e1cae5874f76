"""`opora sla agreements lint`: agreements in files, looked at before they are made."""

from pathlib import Path
from typing import Annotated, Any

import typer

from opora_cli.console import AsJson, print_json
from opora_cli.errors import PROBLEMS_FOUND

agreements_app = typer.Typer(help="Agreements in files.", no_args_is_help=True)

AgreementFiles = Annotated[
    list[Path],
    typer.Argument(metavar="FILE.yaml|json…", help="Agreements that are to be in force together, and calendars."),
]


@agreements_app.command()
def lint(files: AgreementFiles, *, as_json: AsJson = False) -> None:
    """Find what is wrong with agreements, and what is possible but hardly meant, each with its line and what to write.

    All files are looked at together, as if they were the only agreements of a platform, the later the newer: one that
    never applies, two that contradict each other, priorities without a clock, targets that make no sense, hours that
    end before they begin, a calendar that is in none of the files. A file holds an agreement or a list of them, or both
    `agreements` and `calendars`. JSON: [{"where", "problem", "note"}]; a note may well be meant.

    Exit codes: 0 nothing but notes; 1 something was found; 2 a file cannot be read.
    """
    from opora_cli.agreement_files import read_file
    from opora_sla.calendar.lint import calendar_findings
    from opora_sla.lint import findings

    read = [read_file(path) for path in files]
    written = [one for file in read for one in file.agreements]
    calendars = [one for file in read for one in file.calendars]
    documents, calendar_documents = [one.document for one in written], [one.document for one in calendars]
    told: list[dict[str, Any]] = [
        {"where": problem.where, "problem": problem.problem, "note": False}
        for file in read
        for problem in file.problems
    ]
    named = {document.calendar for document in documents if document.calendar} if documents else None
    for about in calendar_findings(calendar_documents, named):
        where = calendars[about.calendar].where(*about.place)
        told.append({"where": where, "problem": about.words, "note": about.is_note})
    for finding in findings(documents, calendar_documents):
        where = written[finding.agreement].where(*finding.place)
        told.append({"where": where, "problem": finding.words, "note": finding.is_note})
    if as_json:
        print_json(told)
    else:
        for one in told:
            print(f"{one['where']}: {'note: ' if one['note'] else ''}{one['problem']}")
        if not told:
            beside = f" and {len(calendars)} calendars" if calendars else ""
            print(f"{len(written)} agreements{beside}, nothing to say")
    if not all(one["note"] for one in told):
        raise typer.Exit(PROBLEMS_FOUND)
