"""The survey page in a real browser: one click in the mail is enough."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from tests.programs import browser, rendered

Feedback = Callable[..., AbstractAsyncContextManager[Any]]


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
