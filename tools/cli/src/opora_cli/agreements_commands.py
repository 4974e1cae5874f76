"""`opora sla agreements …`: agreements in files, looked at before they are made, and open tickets under them."""

from pathlib import Path
from typing import Annotated, Any

import typer

from opora_cli.console import AsJson, Directory, out, print_json, run
from opora_cli.endpoints import DEFAULT_DIRECTORY, read_endpoints
from opora_cli.errors import PROBLEMS_FOUND
from opora_cli.sla_reports.times import instant_given

agreements_app = typer.Typer(help="Agreements: drafts in files, and open tickets under them.", no_args_is_help=True)

AgreementFiles = Annotated[
    list[Path],
    typer.Argument(metavar="FILE.yaml|json…", help="Agreements that are to be in force together, and calendars."),
]
AgreementId = Annotated[str, typer.Argument(metavar="AGREEMENT_ID", help="As sla gave it when it was written.")]
CreatedFrom = Annotated[
    str | None, typer.Option(metavar="TIME|DATE", help="Only tickets created from then on; a date is in UTC.")
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


@agreements_app.command()
def preview(
    agreement_id: AgreementId,
    file: Annotated[Path, typer.Argument(metavar="FILE.yaml|json", help="The draft of the agreement's next version.")],
    *,
    created_from: CreatedFrom = None,
    limit: Annotated[int, typer.Option(min=0, max=100_000, help="List at most so many clocks.")] = 50,
    as_json: AsJson = False,
    directory: Directory = DEFAULT_DIRECTORY,
) -> None:
    """Say which open tickets a draft would breach, relieve or move, on a running platform; nothing is changed.

    JSON: "examined", "effects" (how many clocks of each), "changes". Exit codes: 0 done, 2 the file is not usable, 3 no
    platform runs.
    """
    from opora_cli.agreement_changes import draft_in, foreseen, print_foreseen

    begin = instant_given("--created-from", created_from)
    found = run(foreseen(read_endpoints(directory), agreement_id, draft_in(file), begin, limit))
    if as_json:
        print_json(found)
    else:
        print_foreseen(found, out)


@agreements_app.command()
def migrate(
    agreement_id: AgreementId,
    *,
    to_version: Annotated[int | None, typer.Option(min=1, help="The version to go over to; else the newest.")] = None,
    created_from: CreatedFrom = None,
    wait: Annotated[bool, typer.Option(help="Wait until it is done.")] = True,
    as_json: AsJson = False,
    directory: Directory = DEFAULT_DIRECTORY,
) -> None:
    """Take open tickets of an agreement over to a newer version, as if that had applied since their creation.

    Each ticket goes over once, in batches beside the live clocks; look first with `preview`. JSON is what sla answers
    about the request. Exit codes: 0 done, or asked for with --no-wait; 2 wrong usage, 3 no platform runs.
    """
    from opora_cli.agreement_changes import print_change, taken_over

    begin = instant_given("--created-from", created_from)
    change = run(taken_over(read_endpoints(directory), agreement_id, to_version, begin, wait=wait))
    if as_json:
        print_json(change)
    else:
        print_change(change, out)
