"""What a caller gets who sends something that cannot be accepted."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from opora_chassis.identifiers import new_id

JSON = {"content-type": "application/json"}


def problem(response: Any, status: int) -> dict[str, Any]:
    """The problem details of a response, after the rules that hold for all of them."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    details: dict[str, Any] = response.json()
    assert details["status"] == status
    assert details["type"].startswith("urn:opora:problem:")
    assert details["title"]
    assert details["detail"]
    assert details["instance"] == response.request.url.path
    return details


async def test_a_body_above_the_limit_is_refused(notes: Any) -> None:
    """413, and the answer says how large a body may be."""
    response = await notes.client.post("/v1/notes", json={"text": "x" * 2048})
    assert "2048 bytes" in problem(response, 413)["detail"]
    assert await notes.texts() == []


async def test_a_chunked_body_above_the_limit_is_refused(notes: Any) -> None:
    """A body without a declared length is counted while it arrives."""

    async def chunks() -> AsyncIterator[bytes]:
        yield b'{"text": "'
        for _ in range(30):
            yield b"x" * 100
        yield b'"}'

    response = await notes.client.post("/v1/notes", content=chunks(), headers=JSON)
    problem(response, 413)
    assert await notes.texts() == []


async def test_a_body_at_the_limit_is_taken(notes: Any) -> None:
    """The limit itself is allowed."""
    content = b'{"text": "' + b"x" * (2048 - 12) + b'"}'
    response = await notes.client.post("/v1/notes", content=content, headers=JSON)
    assert response.status_code == 201


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/xml", None])
async def test_a_write_that_is_not_json_is_refused(notes: Any, kind: str | None) -> None:
    """415, and the answer names what is taken."""
    headers = {} if kind is None else {"content-type": kind}
    response = await notes.client.post("/v1/notes", content=b'{"text": "hi"}', headers=headers)
    assert problem(response, 415)["allowed"] == ["application/json"]


async def test_json_may_name_its_charset(notes: Any) -> None:
    """Parameters of the content type do not matter."""
    headers = {"content-type": "application/json; charset=utf-8"}
    response = await notes.client.post("/v1/notes", content='{"text": "привет"}'.encode(), headers=headers)
    assert response.json()["text"] == "привет"


async def test_pages_take_web_forms_where_they_were_allowed(notes: Any) -> None:
    """A path that opted in takes a form, the last of a repeated name counts; other kinds stay refused."""
    response = await notes.client.post("/pages/rate", data={"score": "5", "comment": "так держать"})
    assert response.text == str({"score": "5", "comment": "так держать"})
    refused = await notes.client.post("/pages/rate", content=b"5", headers={"content-type": "text/plain"})
    problem(refused, 415)


async def test_an_unknown_field_is_named(notes: Any) -> None:
    """422 with the field that the contract does not know, and nothing is written."""
    response = await notes.client.post("/v1/notes", json={"text": "hi", "colour": "red"})
    details = problem(response, 422)
    assert details["errors"] == [{"field": "colour", "rule": "is not a known field", "in": "body"}]
    assert "colour" in details["detail"]
    assert await notes.texts() == []


async def test_every_broken_field_is_named(notes: Any) -> None:
    """422 lists all of them, so that the caller corrects once."""
    response = await notes.client.post("/v1/notes", json={"urgent": "maybe"})
    errors = problem(response, 422)["errors"]
    assert [error["field"] for error in errors] == ["text", "urgent"]


async def test_a_missing_body_is_named(notes: Any) -> None:
    """422 says that the body itself is missing."""
    assert problem(await notes.client.post("/v1/notes"), 422)["errors"][0]["field"] == "body"


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b"[" * 2000])
async def test_malformed_json_is_refused(notes: Any, content: bytes) -> None:
    """400: the request cannot be read."""
    problem(await notes.client.post("/v1/notes", content=content, headers=JSON), 400)


async def test_text_with_a_nul_character_is_refused(notes: Any) -> None:
    """422 instead of a failure: the database cannot hold U+0000."""
    response = await notes.client.post("/v1/notes", json={"text": "a\x00b"})
    assert "U+0000" in problem(response, 422)["detail"]


@pytest.mark.parametrize("cursor", ["garbage!", "e30", "bnVsbA", "eyJpZCI6IDF9", "é", "WyJpZCJd"])
async def test_a_bad_cursor_is_refused(notes: Any, cursor: str) -> None:
    """400 for text that no list gave out, in whatever way it is broken."""
    problem(await notes.client.get("/v1/notes", params={"cursor": cursor}), 400)


@pytest.mark.parametrize("limit", ["0", "201", "many"])
async def test_a_limit_out_of_range_is_refused(notes: Any, limit: str) -> None:
    """422 naming `limit`."""
    errors = problem(await notes.client.get("/v1/notes", params={"limit": limit}), 422)["errors"]
    assert errors[0]["field"] == "limit"


async def test_pages_follow_each_other_without_loss(notes: Any) -> None:
    """Following next_cursor gives every item once, and the last page says that it is the last."""
    for number in range(5):
        await notes.client.post("/v1/notes", json={"text": str(number)})
    seen: list[str] = []
    cursor = None
    for expected in (2, 2, 1):
        parameters = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await notes.client.get("/v1/notes", params=parameters)).json()
        assert len(page["items"]) == expected
        seen += [item["text"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert seen == ["0", "1", "2", "3", "4"]
    assert cursor is None


async def test_an_unknown_id_is_not_found(notes: Any) -> None:
    """404 names what there is none of; an id that is no id is not found either."""
    missing = new_id()
    assert str(missing) in problem(await notes.client.get(f"/v1/notes/{missing}"), 404)["detail"]
    problem(await notes.client.get("/v1/notes/nonsense"), 404)


async def test_an_unknown_path_and_method_are_problems_too(notes: Any) -> None:
    """404 and 405 of the framework have the same shape as ours."""
    problem(await notes.client.get("/v1/nowhere"), 404)
    problem(await notes.client.delete("/v1/notes"), 405)


async def test_a_conflict_says_what_is_allowed(notes: Any) -> None:
    """409 carries the extension members that the handler gave."""
    response = await notes.client.post(f"/v1/notes/{new_id()}/close")
    assert problem(response, 409)["allowed"] == ["edit", "read"]


async def test_a_fault_of_ours_tells_only_an_id(notes: Any) -> None:
    """500 keeps the exception's text to the log."""
    response = await notes.client.get("/v1/crash")
    details = problem(response, 500)
    assert "secret" not in response.text
    assert details["error_id"] in details["detail"]
