"""The survey page in a real browser: one click in the mail is enough."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from tests.programs import browser

Feedback = Callable[..., AbstractAsyncContextManager[Any]]
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--virtual-time-budget=5000",
)


async def rendered(url: str, profile: Path) -> str:
    """The page's document after its script has run."""
    process = await asyncio.create_subprocess_exec(
        browser(),
        *_FLAGS,
        f"--user-data-dir={profile}",
        "--dump-dom",
        url,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        document, _ = await asyncio.wait_for(process.communicate(), 60)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return document.decode()


async def test_opening_the_link_in_a_browser_is_a_rating(feedback: Feedback, tmp_path: Path) -> None:
    """The link of the mail, opened once and nothing more clicked: the rating is recorded and the page says so."""
    browser()
    async with feedback() as desk:
        fact = await desk.close(language="ru")
        survey = await desk.survey_of(fact)
        links = await desk.links(survey["survey_id"])
        document = await rendered(links["2"], tmp_path)
        score = await desk.database.fetchval("select score from surveys where survey_id = $1", survey["survey_id"])
    assert score == 2
    assert 'lang="ru"' in document
    assert "Спасибо, оценка сохранена" in document
