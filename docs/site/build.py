"""Make the site of all documents: `make docs`, or `python -m docs.site.build [DIRECTORY]`.

The pages are those of the repository, so that they read as well there; the site adds a way through them, search, and
reference pages made from the AsyncAPI and OpenAPI documents. A link that leads nowhere, or a page that no list names,
fails the build. The result needs no network and no server: open index.html.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docs.site.asyncapi_page import asyncapi_page
from docs.site.openapi_page import openapi_page

from opora_cli.openapi_commands import openapi_documents
from opora_cli.stack import SERVICES
from opora_contracts.asyncapi import asyncapi_document

ROOT = Path(__file__).parents[2]
SITE = Path(__file__).parent
OUTPUT = ROOT / "dist" / "docs"

PARTS: Mapping[str, tuple[str, ...]] = {
    "How it works": ("ARCHITECTURE", "docs/reliability", "docs/performance", "docs/decisions/index"),
    "Guides": (
        "docs/guides/index",
        *(f"docs/guides/{language}" for language in ("python", "java", "go", "node", "kcat")),
        "docs/guides/*",
    ),
    "Service levels": (
        "docs/working-time",
        *(f"docs/sla-{page}" for page in ("escalation", "commitments", "changes", "simulation", "reports")),
    ),
    "Tickets": ("docs/the-case", "docs/search", "docs/attachments"),
    "Channels": ("docs/mail", "docs/webhooks", "docs/calls", "docs/chat", "docs/web-forms"),
    "Customers": ("docs/customers",),
    "Events": ("docs/events/index", "docs/events/opora.requests", "docs/events/*", "reference/asyncapi"),
    "HTTP": (*(f"reference/{service}" for service in SERVICES), "reference/*"),
    "Operating": ("docs/operations/index", "docs/operations/*"),
    "The project": ("CONTRIBUTING", "CHANGELOG"),
}
"""The way through the site: what each part of the list holds, in order; a star takes what is left."""

_LINK = re.compile(r"(\]\(|^\[[^]]+\]: )(?![a-z]+:|#)([^)#\s]+)", re.MULTILINE)
_README = re.compile(r"(\]\((?![a-z]+:)[^)#\s]*?|^\[[^]]+\]: (?![a-z]+:)\S*?)README\.md", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Reference:
    """A document for programs, with its page for people."""

    file_name: str
    document: Mapping[str, Any]
    page: str


def main() -> int:
    """Build into the given directory; returns the exit code: 0, or 1 when a page has a fault."""
    parser = argparse.ArgumentParser(description="Make the site of all documents.")
    parser.add_argument("directory", nargs="?", type=Path, default=OUTPUT, help="replaced; dist/docs by default")
    directory: Path = parser.parse_args().directory.resolve()
    if not build(directory):
        print("the site was not made: mend the pages named above", file=sys.stderr)
        return 1
    print(f"open {directory / 'index.html'}")
    return 0


def build(directory: Path, root: Path = ROOT, references: Iterable[Reference] | None = None) -> bool:
    """Make the site of the pages below `root`; False when a page has a fault, which is told on standard error.

    The directory is replaced only by a site without fault. `references` are by default those of the whole platform.
    """
    with tempfile.TemporaryDirectory(prefix="opora-docs-") as work:
        pages, made = Path(work, "pages"), Path(work, "made")
        stage(pages, root, platform_references() if references is None else references)
        made_well = subprocess.run(
            [
                *(sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html"),
                *("-d", f"{work}/doctrees", "-c", f"{SITE}", f"{pages}", f"{made}"),
            ],
            check=False,
        )
        if made_well.returncode:
            return False
        shutil.rmtree(directory, ignore_errors=True)
        directory.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(made, directory)
    return True


def stage(pages: Path, root: Path, references: Iterable[Reference]) -> None:
    """Lay everything that the site is made of below `pages`, at the places where the repository has it."""
    for source in documents(root):
        place = pages / source.relative_to(root)
        if place.name == "README.md":
            place = place.with_name("index.md")
        text = source.read_text("utf-8")
        for linked in _linked_files(source, text, root):
            copy = pages / linked.relative_to(root)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(linked, copy)
        _write(place, _README.sub(r"\1index.md", text))
    for reference in references:
        document = json.dumps(reference.document, indent=2, ensure_ascii=False)
        _write(pages / "reference" / reference.file_name, document + "\n")
        _write(pages / "reference" / f"{reference.file_name.partition('.')[0]}.md", reference.page)
    _add_lists(pages)


def documents(root: Path) -> list[Path]:
    """Every page of the repository, without those of packages that were installed to try an example."""
    found = [*root.glob("*.md"), *(root / "docs").rglob("*.md")]
    return sorted(path for path in found if "node_modules" not in path.parts)


def platform_references() -> Iterator[Reference]:
    """The topics, and the HTTP of each service."""
    document = asyncapi_document()
    yield Reference("asyncapi.json", document, asyncapi_page(document))
    for service, described in openapi_documents():
        yield Reference(f"{service}.openapi.json", described, openapi_page(service, described))


def _linked_files(page: Path, text: str, root: Path) -> Iterator[Path]:
    """Files that a page links to and that are no pages: the site offers them for download."""
    for _, destination in _LINK.findall(text):
        linked = (page.parent / destination).resolve()
        if linked.is_file() and linked.suffix != ".md" and linked.is_relative_to(root.resolve()):
            yield root / linked.relative_to(root.resolve())


def _add_lists(pages: Path) -> None:
    """Put the way through the site below its first page, and the decisions below theirs."""
    known = {path.relative_to(pages).with_suffix("").as_posix() for path in pages.rglob("*.md")}
    decisions = [page for page in sorted(known) if page.startswith(("docs/decisions/0", "docs/decisions/draft-"))]
    listed = {"index", *decisions}
    lines: list[str] = []
    for part, patterns in PARTS.items():
        found = [page for pattern in patterns for page in _matching(pattern, known - listed)]
        listed |= set(found)
        if found:
            lines += ["", f"```{{toctree}}\n:hidden:\n:caption: {part}", *dict.fromkeys(found), "```"]
    with (pages / "index.md").open("a", encoding="utf-8") as index:
        index.write("\n".join([*lines, ""]))
    with (pages / "docs/decisions/index.md").open("a", encoding="utf-8") as index:
        index.write(
            "\n".join(["", "```{toctree}\n:hidden:\n", *(page.rpartition("/")[2] for page in decisions), "```\n"])
        )


def _matching(pattern: str, pages: set[str]) -> list[str]:
    folder, star, _ = pattern.partition("*")
    return sorted(page for page in pages if (page.startswith(folder) if star else page == pattern))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


if __name__ == "__main__":
    sys.exit(main())
