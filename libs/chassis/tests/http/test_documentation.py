"""What an application tells about itself."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends

from opora_chassis.http import Caller, requires, service_document, shown


def test_a_read_documents_only_what_can_happen_to_it() -> None:
    """A path can lead to nothing; without body, query and headers there is nothing to refuse in them."""
    router = APIRouter()

    @router.get("/v1/notes/{note_id}")
    async def read_note(note_id: UUID, _caller: Annotated[Caller, Depends(requires("notes:read"))]) -> UUID:
        return note_id

    @router.get("/v1/notes")
    async def list_notes(cursor: str | None = None) -> str | None:
        return cursor

    paths = service_document("notes", [router])["paths"]
    read = paths["/v1/notes/{note_id}"]["get"]
    assert list(read["responses"]) == ["200", "401", "403", "404", "503", "default"]
    assert "X-Opora-Actor" not in str(read)
    assert list(paths["/v1/notes"]["get"]["responses"]) == ["200", "400", "422", "503", "default"]


def test_an_operation_shows_the_examples_that_its_route_was_given() -> None:
    """Examples stand at the body and at the success answer, nulls included; a conflict is told in the route's words."""
    router = APIRouter()

    @router.put("/v1/notes/{name}", summary="Write a note")
    @shown({"text": "buy milk", "due": None}, {"A short note": {"text": "buy milk"}}, conflict="Somebody was faster.")
    async def put_note(name: str, body: dict[str, str]) -> dict[str, str | None]:
        return {**body, "due": name}

    document = service_document("notes", [router])
    put = document["paths"]["/v1/notes/{name}"]["put"]
    assert put["operationId"] == "put_note"
    assert put["requestBody"]["content"]["application/json"]["examples"] == {
        "a-short-note": {"summary": "A short note", "value": {"text": "buy milk"}}
    }
    assert put["responses"]["200"]["content"]["application/json"]["example"] == {"text": "buy milk", "due": None}
    assert put["responses"]["409"]["description"] == "Somebody was faster."
    assert "security" not in put
