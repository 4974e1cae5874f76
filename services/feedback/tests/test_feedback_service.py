"""Feedback as a whole, on a real Kafka and a real PostgreSQL: from a closed ticket to an answer."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from opora_chassis.identifiers import new_id
from opora_contracts.customers import ConsentStatement, CustomerMerged, CustomerRegistered, CustomerUpdated
from opora_contracts.feedback import FeedbackAlerted, FeedbackReceived, SurveyRequested
from opora_contracts.vocabulary import ResolutionCode

Feedback = Callable[..., AbstractAsyncContextManager[Any]]

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def browser() -> httpx.AsyncClient:
    """A customer's browser: it has no key."""
    return httpx.AsyncClient(timeout=10, trust_env=False)


def page_of(link: str) -> str:
    """The address that the page of a link posts to."""
    return link.rpartition("/")[0]


async def test_one_survey_per_ticket_and_cycle(feedback: Feedback) -> None:
    """A closing delivered three times asks once; the next cycle of the same ticket asks again."""
    async with feedback(ask_interval_days=0) as desk:
        first = await desk.close(times=3)
        second = await desk.close(ticket_id=first.ticket_id, customer_id=first.requester_id, cycle=2, language="ru")
        asked = await desk.told(2)
    assert [type(event.data) for event in asked] == [SurveyRequested, SurveyRequested]
    assert [(event.subject, event.sequence, event.data.cycle) for event in asked] == [
        (str(first.ticket_id), 1, 1),
        (str(first.ticket_id), 2, 2),
    ]
    assert (asked[1].data.language, asked[1].data.customer_id) == ("ru", second.requester_id)
    assert asked[0].data.expires_at - asked[0].time == timedelta(days=14)


async def test_a_person_is_asked_once_in_an_interval_over_all_tickets(feedback: Feedback) -> None:
    """Of two tickets that one customer closes within seven days only the first asks; another customer is asked."""
    async with feedback() as desk:
        first = await desk.close()
        second = await desk.close(customer_id=first.requester_id)
        other = await desk.close()
        assert [await desk.verdict(one) for one in (first, second, other)] == ["asked", "asked_lately", "asked"]
        assert {event.subject for event in await desk.told(2)} == {str(first.ticket_id), str(other.ticket_id)}


async def test_merged_customers_are_asked_as_one_person(feedback: Feedback) -> None:
    """Who was asked lately under either id is not asked again, also once the two are apart; others are."""
    async with feedback() as desk:
        one, other, third = new_id(), new_id(), new_id()
        for customer_id in (one, other):
            await desk.tell(CustomerRegistered(customer_id=customer_id, name="Anna"), 1)
        first = await desk.close(customer_id=one)
        await desk.tell(CustomerMerged(customer_id=one, merged_into=other), 2)
        late = [await desk.close(customer_id=customer_id) for customer_id in (one, other)]
        await desk.tell(CustomerUpdated(customer_id=one, name="Anna"), 3)
        late += [await desk.close(customer_id=customer_id) for customer_id in (one, other)]
        assert await desk.verdict(first) == "asked"
        assert [await desk.verdict(each) for each in late] == ["asked_lately"] * 4
        assert await desk.verdict(await desk.close(customer_id=third)) == "asked"
        await desk.told(2)


async def test_a_merged_customer_is_asked_under_the_id_that_stands(feedback: Feedback) -> None:
    """A closing that names the old id asks the one at the end of the merges, whichever fact came first."""
    async with feedback() as desk:
        one, other, third = new_id(), new_id(), new_id()
        await desk.tell(CustomerMerged(customer_id=one, merged_into=other), 1)
        await desk.tell(CustomerMerged(customer_id=other, merged_into=third), 1)
        survey = await desk.survey_of(await desk.close(customer_id=one))
        assert survey["customer_id"] == str(third)
        assert await desk.verdict(await desk.close(customer_id=third)) == "asked_lately"


async def test_who_declined_surveys_is_not_asked(feedback: Feedback) -> None:
    """A withdrawn consent holds for every ticket; given again, the customer is asked again."""
    async with feedback() as desk:
        customer_id = new_id()

        async def said(sequence: int, *, given: bool | None) -> None:
            consent = () if given is None else (ConsentStatement(purpose="surveys", given=given, at=NOON),)
            fact_type = CustomerRegistered if sequence == 1 else CustomerUpdated
            await desk.tell(fact_type(customer_id=customer_id, name="Anna", consents=consent), sequence)

        await said(1, given=None)
        await said(2, given=False)
        assert await desk.verdict(await desk.close(customer_id=customer_id)) == "declined"
        await said(3, given=True)
        assert await desk.verdict(await desk.close(customer_id=customer_id)) == "asked"


async def test_what_was_not_served_asks_nobody(feedback: Feedback) -> None:
    """A duplicate is judged and kept, and asks nothing."""
    async with feedback() as desk:
        fact = await desk.close(resolution_code=ResolutionCode.DUPLICATE)
        assert await desk.verdict(fact) == "not_served"
        await desk.told(0)


async def test_history_asks_nobody(feedback: Feedback) -> None:
    """An imported closing is left alone; the same ticket closed live afterwards asks."""
    async with feedback() as desk:
        past = await desk.publish_closing(import_id="import-1")
        live = await desk.close(ticket_id=past.ticket_id, cycle=2)
        assert [await desk.verdict(one) for one in (past, live)] == [None, "asked"]
        await desk.told(1)


async def test_opening_the_link_records_nothing_and_the_page_records_the_rating(feedback: Feedback) -> None:
    """A GET, as a mail scanner makes it, rates nobody; the page's own POST does, and is told to others."""
    async with feedback() as desk, browser() as customer:
        fact = await desk.close()
        survey = await desk.survey_of(fact)
        links = await desk.links(survey["survey_id"])
        assert sorted(links) == ["1", "2", "3", "4", "5"]
        page = await customer.get(links["4"])
        assert page.status_code == 200
        assert 'value="4" required checked' in page.text
        assert "<noscript>" in page.text
        assert (await desk.survey_of(fact))["state"] == "requested"
        answered = await customer.post(page_of(links["4"]), data={"score": "4"})
        assert (answered.status_code, "Thank you" in answered.text) == (200, True)
        survey = await desk.survey_of(fact)
        assert (survey["state"], survey["score"], survey["comment"]) == ("answered", 4, None)
        requested, received = await desk.told(2)
    assert isinstance(requested.data, SurveyRequested)
    assert isinstance(received.data, FeedbackReceived)
    assert (received.data.score, received.data.assignee, received.data.product) == (4, "anna", "VPN")
    assert received.actor == f"customer:{fact.requester_id}"


async def test_the_page_lets_nothing_in_and_nothing_out(feedback: Feedback) -> None:
    """The page forbids foreign scripts, referrers, caches and search engines, and escapes what the customer wrote."""
    async with feedback() as desk, browser() as customer:
        survey = await desk.survey_of(await desk.close())
        links = await desk.links(survey["survey_id"])
        await customer.post(page_of(links["5"]), data={"score": "5", "comment": "</textarea><script>x()</script>"})
        page = await customer.get(links["5"])
    assert "<script>x()" not in page.text
    assert "&lt;script&gt;x()" in page.text
    policy = page.headers["content-security-policy"]
    nonce = policy.partition("script-src 'nonce-")[2].partition("'")[0]
    assert policy.startswith("default-src 'none';")
    assert page.text.count(f'nonce="{nonce}"') == 2
    assert page.headers["x-robots-tag"] == "noindex, nofollow"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["cache-control"] == "no-store"


async def test_a_changed_answer_replaces_the_first_and_alerts_once(feedback: Feedback) -> None:
    """A score that falls is told again and alerts once; the comment comes along; the same answer again is silent."""
    async with feedback() as desk, browser() as customer:
        fact = await desk.close()
        survey = await desk.survey_of(fact)
        target = page_of((await desk.links(survey["survey_id"]))["1"])
        for form in (
            {"score": "4"},
            {"score": "2", "comment": "Three calls,\r\nno answer"},
            {"score": "2"},
            {"score": "1"},
        ):
            assert (await customer.post(target, data=form)).status_code == 200
        events = await desk.told(5)
        responses = (await desk.service.client.get("/v1/responses", params={"highest_score": 2})).json()["items"]
    assert [event.sequence for event in events] == [1, 2, 3, 4, 5]
    assert [type(event.data) for event in events] == [
        SurveyRequested,
        FeedbackReceived,
        FeedbackReceived,
        FeedbackAlerted,
        FeedbackReceived,
    ]
    assert [event.data.score for event in events[1:]] == [4, 2, 2, 1]
    assert [(one["score"], one["comment"]) for one in responses] == [(1, "Three calls,\nno answer")]


async def test_links_that_are_not_ours_or_over_are_refused(feedback: Feedback) -> None:
    """A tampered link is answered 404 and an expired one 410, on GET and on POST, and neither records anything."""
    async with feedback(survey_life_days=2 / 86_400) as desk, browser() as customer:
        fact = await desk.close()
        survey = await desk.survey_of(fact)
        link = (await desk.links(survey["survey_id"]))["5"]
        tampered = link.replace("/s/", "/s/A")
        assert (await customer.get(tampered)).status_code == 404
        assert (await customer.post(page_of(tampered), data={"score": "5"})).status_code == 404

        async def is_expired() -> bool:
            return bool((await desk.survey_of(fact))["state"] == "expired")

        await desk.service.wait_until(is_expired)
        over = await customer.get(link)
        assert (over.status_code, "This survey is over" in over.text) == (410, True)
        assert (await customer.post(page_of(link), data={"score": "5"})).status_code == 410
        await desk.told(1)


@pytest.mark.parametrize(
    ("form", "status"),
    [({}, 400), ({"score": "6"}, 400), ({"score": "4.5"}, 400), ({"score": "5", "comment": "x" * 5001}, 422)],
)
async def test_a_form_that_makes_no_sense_records_nothing(
    feedback: Feedback, form: dict[str, str], status: int
) -> None:
    """A missing or impossible score and an overlong comment are refused with a page that says so."""
    async with feedback() as desk, browser() as customer:
        fact = await desk.close()
        survey = await desk.survey_of(fact)
        answer = await customer.post(page_of((await desk.links(survey["survey_id"]))["5"]), data=form)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html; charset=utf-8")
        assert (await desk.survey_of(fact))["state"] == "requested"


async def test_a_russian_customer_reads_russian(feedback: Feedback) -> None:
    """The page speaks the survey's language."""
    async with feedback() as desk, browser() as customer:
        survey = await desk.survey_of(await desk.close(language="ru"))
        page = await customer.get((await desk.links(survey["survey_id"]))["5"])
    assert '<html lang="ru">' in page.text
    assert "Очень доволен" in page.text


async def test_links_begin_with_the_public_address(feedback: Feedback) -> None:
    """Where a public address is set, customers are sent there."""
    async with feedback(public_url="https://help.example.com/rate") as desk:
        survey = await desk.survey_of(await desk.close())
        link = urlsplit((await desk.links(survey["survey_id"]))["3"])
    assert (link.hostname, link.path.startswith("/rate/s/"), link.path[-2:]) == ("help.example.com", True, "/3")


async def test_scores_say_how_many_and_how_sure(feedback: Feedback) -> None:
    """Scores per agent give n, mean and the share of 4 and 5 with its interval; a time range narrows them."""
    async with feedback() as desk, browser() as customer:
        for assignee, score in (("anna", 5), ("anna", 4), ("anna", 1), ("boris", 3)):
            survey = await desk.survey_of(await desk.close(assignee=assignee))
            target = page_of((await desk.links(survey["survey_id"]))["1"])
            await customer.post(target, data={"score": str(score)})
        client = desk.service.client
        table = (await client.get("/v1/scores", params={"by": "agent"})).json()
        whole = (await client.get("/v1/scores")).json()
        past = {"by": "agent", "to": datetime(2020, 1, 1, tzinfo=UTC).isoformat()}
        assert (await client.get("/v1/scores", params=past)).json()["items"] == []
    anna, boris = table["items"]
    assert (anna["key"], anna["n"], anna["mean"]) == ("anna", 3, pytest.approx(10 / 3))
    assert (anna["csat"], anna["csat_low"], anna["csat_high"]) == pytest.approx((2 / 3, 0.2077, 0.9385), abs=1e-4)
    assert (boris["key"], boris["n"], boris["csat"]) == ("boris", 1, 0.0)
    assert [(line["key"], line["n"]) for line in whole["items"]] == [(None, 4)]


async def test_lists_go_on_where_they_ended(feedback: Feedback) -> None:
    """Pages of two hold every survey once, and a cursor that the list did not give is refused."""
    async with feedback() as desk:
        tickets = {str((await desk.close()).ticket_id) for _ in range(5)}
        client = desk.service.client
        seen: list[str] = []
        parameters = {"limit": "2"}
        while True:
            page = (await client.get("/v1/surveys", params=parameters)).json()
            seen += [survey["ticket_id"] for survey in page["items"]]
            if page["next_cursor"] is None:
                break
            parameters = {"limit": "2", "cursor": page["next_cursor"]}
        assert (len(seen), set(seen)) == (5, tickets)
        assert (await client.get("/v1/surveys", params={"cursor": "nonsense"})).status_code == 400
        assert (await client.get(f"/v1/surveys/{new_id()}")).status_code == 404
