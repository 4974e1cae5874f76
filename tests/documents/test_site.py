"""The site that `make docs` builds: whole, without a dead link, readable without network and server."""

import asyncio
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from docs.site.build import ROOT, build, documents
from tests.programs import browser

_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
    # Whatever the page asks of the network is refused: it has to do without.
    *("--host-resolver-rules=MAP * ~NOTFOUND", "--window-size=1400,1600", "--virtual-time-budget=10000"),
)
_WITHIN_SECONDS = 120


@dataclass(slots=True)
class Page(HTMLParser):
    """What a page offers to link to, where it links, and what it loads."""

    anchors: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Begin with an empty page."""
        HTMLParser.__init__(self)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take in an element."""
        given = {name: value for name, value in attrs if value}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif tag == "link" and "href" in given and given.get("rel") != "canonical":
            self.loads.append(given["href"])
        elif "src" in given:
            self.loads.append(given["src"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole site, built."""
    directory = tmp_path_factory.mktemp("docs") / "site"
    assert build(directory), "a page has a fault: see what Sphinx says above"
    return directory


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    """Every page of the site, read."""
    read = {}
    for path in sorted(site.rglob("*.html")):
        read[path] = Page()
        read[path].feed(path.read_text("utf-8"))
    return read


def test_every_link_and_anchor_leads_somewhere(site: Path, pages: dict[Path, Page]) -> None:
    """A crawler that follows every link inside the site finds the file, and in it the place."""
    dead = [f"{path.relative_to(site)}: {link}" for path in pages for link in dead_links(path, pages)]
    assert dead == []
    assert sum(len(page.links) for page in pages.values()) > 2_000


def test_a_dead_link_is_found(tmp_path: Path) -> None:
    """The crawler is no formality: it reports a missing file and a missing anchor."""
    path = tmp_path / "index.html"
    path.write_text('<p id="here"><a href="#here"></a><a href="#gone"></a><a href="no.html"></a></p>', "utf-8")
    page = Page()
    page.feed(path.read_text("utf-8"))
    assert list(dead_links(path, {path: page})) == ["#gone", "no.html"]


def test_every_document_is_in_the_site_and_in_its_list(site: Path, pages: dict[Path, Page]) -> None:
    """Each page of the repository is there, as are those made from the interfaces; the first page leads to all."""
    expected = {site / path.relative_to(ROOT).with_suffix(".html") for path in documents(ROOT)}
    expected = {path.with_name("index.html") if path.name == "README.html" else path for path in expected}
    expected |= {site / "reference" / f"{name}.html" for name in ("asyncapi", "intake", "sla", "notify", "feedback")}
    assert expected <= set(pages)
    listed = {Path(os.path.normpath(site / urlsplit(link).path)) for link in pages[site / "index.html"].links}
    assert expected - listed - {site / "index.html"} == set()


def test_nothing_is_loaded_from_elsewhere(pages: dict[Path, Page]) -> None:
    """Scripts, styles and pictures lie in the site: it is whole without a network."""
    loaded = {load for page in pages.values() for load in page.loads}
    assert loaded
    assert {load for load in loaded if urlsplit(load).scheme or urlsplit(load).netloc} - data_of(loaded) == set()


def test_the_references_tell_what_the_interfaces_do(site: Path) -> None:
    """An operation stands with scope, example and refusals; a message with its headers; both with their documents."""
    intake = (site / "reference" / "intake.html").read_text("utf-8")
    for words in ("POST /v1/tickets", "tickets:write", "Login page answers 502", "422 Unprocessable", "NewCustomer"):
        assert words in intake, words
    topics = (site / "reference" / "asyncapi.html").read_text("utf-8")
    for words in ("ticket.submitted", "opora.tickets", "ce_sequence", "notification.delivered"):
        assert words in topics, words
    downloads = {path.name for path in (site / "_downloads").rglob("*.json")}
    assert {"asyncapi.json", "intake.openapi.json", "feedback.openapi.json"} <= downloads


def test_a_page_with_a_dead_link_is_not_made(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A link to a page or an anchor that is not there fails the build, by name, and leaves the last site as it was."""
    root, made = tmp_path / "root", tmp_path / "made"
    (root / "docs" / "decisions").mkdir(parents=True)
    (root / "docs" / "decisions" / "README.md").write_text("# Decisions\n", "utf-8")
    (root / "docs" / "decisions" / "0001-first.md").write_text("# 0001. First\n", "utf-8")
    page = root / "README.md"
    page.write_text("# Home\n\n[decisions](docs/decisions/README.md) and [below](#below)\n\n## Below\n", "utf-8")
    assert build(made, root, references=())
    page.write_text("# Home\n\n[nowhere](docs/nowhere.md) and [above](#above)\n", "utf-8")
    assert not build(made, root, references=())
    told = capfd.readouterr().err
    assert "docs/nowhere.md" in told
    assert "above" in told
    assert "Below" in (made / "index.html").read_text("utf-8")


@pytest.mark.slow
async def test_the_site_reads_and_searches_in_a_browser(site: Path, tmp_path: Path) -> None:
    """Opened as files in a real browser without a network: pages are drawn, and search finds a page by its words."""
    run = partial(in_browser, browser(), tmp_path / "profile")
    shot = tmp_path / "intake.png"
    await run(f"--screenshot={shot}", (site / "reference" / "intake.html").as_uri())
    assert shot.read_bytes().startswith(b"\x89PNG")
    assert shot.stat().st_size > 50_000, "an empty page"
    found = await run("--dump-dom", f"{(site / 'search.html').as_uri()}?q=librdkafka")
    results = found.partition('id="search-results"')[2]
    assert "docs/guides/kcat.html" in results


def dead_links(path: Path, pages: dict[Path, Page]) -> Iterator[str]:
    """Links of a page that lead to no file, or to no anchor of it; those to other sites are not followed."""
    for link in pages[path].links:
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            continue
        place = Path(os.path.normpath(path.parent / unquote(parts.path))) if parts.path else path
        missing_anchor = place in pages and parts.fragment and unquote(parts.fragment) not in pages[place].anchors
        if missing_anchor or not place.is_file():
            yield link


def data_of(loaded: set[str]) -> set[str]:
    """Pictures that stand in the page itself."""
    return {load for load in loaded if load.startswith("data:")}


async def in_browser(program: str, profile: Path, *arguments: str) -> str:
    """Run the browser to its end; returns what it printed."""
    process = await asyncio.create_subprocess_exec(
        *(program, *_FLAGS, f"--user-data-dir={profile}", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        printed, _ = await asyncio.wait_for(process.communicate(), _WITHIN_SECONDS)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return printed.decode()
