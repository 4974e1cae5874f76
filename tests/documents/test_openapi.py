"""The HTTP interfaces as they are documented: every operation explained, every example true of the running services."""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import jsonschema_rs
import pytest
import pytest_asyncio
import schemathesis
from typer.testing import CliRunner

from opora_cli.openapi_commands import openapi_documents
from opora_embedded.testing import KafkaServer
from opora_sla.calendar_examples import DOCUMENT as CALENDAR
from tests.e2e.stack import Databases, Stack, running_stack

PROCESSES = ("intake serve", "sla serve", "notify serve", "feedback serve")
JSON = "application/json"
PROBLEM_JSON = "application/problem+json"
NOBODY = "x" * 201
"""Longer than any identifier may be: no path leads anywhere with it."""
BEFORE = {"verify": "resolve", "reopen": "resolve", "close": "resolve", "resume": "hold", "follow_up": "close"}
"""What must have happened to a ticket before some operations."""
NEEDED = {"hold": {"waiting_on": "customer"}, "close": {"resolution_code": "cancelled"}}
"""What these must be given."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a service's document."""

    service: str
    method: str
    path: str
    told: dict[str, Any]

    @property
    def name(self) -> str:
        """The operation's id within its service."""
        name: str = self.told["operationId"]
        return name

    @property
    def success(self) -> str:
        """The status of its success answer."""
        (status,) = (status for status in self.told["responses"] if status.startswith("2"))
        return str(status)

    @property
    def answers_a_file(self) -> bool:
        """Whether the success answer is bytes of which no example can be shown."""
        content = self.told["responses"][self.success].get("content", {})
        return bool(content) and all(shown["schema"].get("format") == "binary" for shown in content.values())

    @property
    def takes_a_file(self) -> bool:
        """Whether its request is bytes of which no example can be shown."""
        return "application/octet-stream" in self.told.get("requestBody", {}).get("content", {})

    @property
    def bodies(self) -> dict[str, Any]:
        """The examples of its request."""
        content = self.told.get("requestBody", {}).get("content", {}).get(JSON, {})
        return {name: example["value"] for name, example in content.get("examples", {}).items()}

    def schema(self, *place: str) -> Any:
        """A schema of it with everything that it refers to."""
        found: Any = self.told
        for step in place:
            found = found[step]
        return {**found["schema"], "components": documents()[self.service]["components"]}


@cache
def documents() -> dict[str, dict[str, Any]]:
    """The document of each service."""
    return dict(openapi_documents())


def operations() -> Iterator[Operation]:
    """Every operation of every service."""
    for service, document in documents().items():
        for path, methods in document["paths"].items():
            for method, told in methods.items():
                yield Operation(service, method, path, told)


EVERY = [pytest.param(each, id=f"{each.service}-{each.name}") for each in operations()]
WITH_BODIES = [
    pytest.param(each, example, id=f"{each.service}-{each.name}-{example}")
    for each in operations()
    for example in each.bodies
]


def broken_rules(schema: Any, value: Any) -> list[str]:
    """What a value breaks of a schema, formats included."""
    return [error.message for error in jsonschema_rs.validator_for(schema, validate_formats=True).iter_errors(value)]


@pytest.mark.parametrize("service", ["intake", "sla", "notify", "feedback"])
def test_each_document_is_valid_openapi(service: str) -> None:
    """The document is OpenAPI 3.1 by its own schema, and its operations have names that generators can use."""
    document = documents()[service]
    schemathesis.openapi.from_dict(document).validate()
    assert document["openapi"].startswith("3.1")
    names = [each.name for each in operations() if each.service == service]
    assert len(names) == len(set(names)) > 8
    assert all(name.isidentifier() for name in names)


def test_a_broken_document_is_noticed() -> None:
    """The check of the documents is no formality: a component's name with a space in it is refused."""
    document = json.loads(json.dumps(documents()["sla"]))
    document["components"]["schemas"]["no name"] = {"type": "object"}
    with pytest.raises(jsonschema_rs.ValidationError):
        schemathesis.openapi.from_dict(document).validate()


@pytest.mark.parametrize("operation", EVERY)
def test_every_operation_is_explained_and_shown(operation: Operation) -> None:
    """Summary, description, scope, and examples of request and answer that their schemas take."""
    told = operation.told
    assert told["summary"]
    assert told["summary"] != operation.name.replace("_", " ").title(), "the summary is the framework's guess"
    assert told["description"].partition("\n\n")[0]
    ((scheme, scopes),) = told["security"][0].items()
    assert scheme == "ApiKey"
    assert f"Needs the scope `{scopes[0]}`." in told["description"]
    if "requestBody" in told and not operation.takes_a_file:
        assert operation.bodies
        schema = operation.schema("requestBody", "content", JSON)
        for name, body in operation.bodies.items():
            assert broken_rules(schema, body) == [], name
    if operation.success != "204" and not operation.answers_a_file:
        answer = told["responses"][operation.success]["content"][JSON]
        assert answer["example"]
        schema = operation.schema("responses", operation.success, "content", JSON)
        assert broken_rules(schema, answer["example"]) == []


@pytest.mark.parametrize("operation", EVERY)
def test_every_refusal_is_described(operation: Operation) -> None:
    """Each status is described with an example that is a problem; nothing is promised that cannot come."""
    answers = operation.told["responses"]
    expected = {"401", "403", "503", "default"}
    if "requestBody" in operation.told and not operation.takes_a_file:
        expected |= {"400", "413", "415", "422"}
    assert expected <= set(answers)
    for status in set(answers) - {operation.success, "default"}:
        answer = answers[status]
        if "$ref" in answer:
            answer = documents()[operation.service]["components"]["responses"][answer["$ref"].rpartition("/")[2]]
        assert answer["description"]
        shown = answer["content"][PROBLEM_JSON]
        assert shown["example"]["status"] == int(status)
        schema = {**shown["schema"], "components": documents()[operation.service]["components"]}
        assert broken_rules(schema, shown["example"]) == []


def test_the_documents_are_written_as_files(tmp_path: Path) -> None:
    """`opora contracts openapi DIRECTORY` writes one file a service; each holds the document that is served."""
    from opora_cli.main import app

    result = CliRunner().invoke(app, ["contracts", "openapi", str(tmp_path / "made")])
    assert result.exit_code == 0, result.output
    written = {path.name: json.loads(path.read_text("utf-8")) for path in (tmp_path / "made").iterdir()}
    assert written == {f"{service}.openapi.json": document for service, document in documents().items()}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def services(
    kafka: KafkaServer, databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stack]:
    """The HTTP of all four services."""
    async with running_stack(tmp_path_factory.mktemp("openapi"), kafka, databases, PROCESSES) as stack:
        yield stack


@pytest.mark.asyncio(loop_scope="module")
async def test_the_services_serve_what_is_documented(services: Stack) -> None:
    """A running service gives the same document as the export that needs no service."""
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        for service, document in documents().items():
            assert (await client.get(f"{services.urls[service]}/openapi.json")).json() == document


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("operation", "example"), WITH_BODIES)
async def test_the_running_service_accepts_the_example(services: Stack, operation: Operation, example: str) -> None:
    """Each example of a request is carried out by the real service, and the answer is of the documented shape."""
    async with services.client(operation.service) as client:
        path = await placed(client, operation)
        body = await addressed(client, operation, path, operation.bodies[example])
        answer = await client.request(operation.method, path, json=body)
    assert answer.status_code == int(operation.success), answer.text
    assert broken_rules(operation.schema("responses", operation.success, "content", JSON), answer.json()) == []


@pytest.mark.asyncio(loop_scope="module")
async def test_the_running_services_refuse_as_documented(services: Stack) -> None:
    """What is refused for want of a key, a body, a known field or a thing gets a status that the operation names."""
    problems: list[str] = []
    for operation in operations():
        async with services.client(operation.service) as client:
            for expected, request in refused_requests(operation):
                answer = await client.request(operation.method, **request)
                place = f"{operation.service} {operation.name}: {expected} expected, {answer.status_code} came"
                if str(answer.status_code) != expected or answer.headers["content-type"] != PROBLEM_JSON:
                    problems.append(place)
                if expected not in operation.told["responses"]:
                    problems.append(f"{place} and is not documented")
    assert problems == []


async def placed(client: httpx.AsyncClient, operation: Operation) -> str:
    """The operation's path, leading to something that it can be done to."""
    path = operation.path.removeprefix("/v1")
    if "{ticket}" in path:
        return await placed_on_ticket(client, operation, path)
    if path in {"/macros/{name}", "/web-forms/{name}"}:
        return path.format(name=await (kept_macro if path.startswith("/macros") else kept_web_form)(client))
    if "{hook}" in path:
        source = {"kind": "github", "name": f"github-{uuid4().hex[:8]}", "secrets": ["a secret of the tests"]}
        assert (await client.post("/hook-sources", json=source)).status_code == 201
        return path.format(hook=source["name"])
    if operation.name == "put_presence":
        group = {"rule": "manual", "members": [{"agent": "anna"}]}
        assert (await client.put("/groups/platform", json=group)).status_code == 200
    if operation.name == "post_unmerge":
        one, other = [(await client.post("/customers", json={"name": "x"})).json()["id"] for _ in range(2)]
        assert (await client.post(f"/customers/{one}/merge", json={"into": other})).status_code == 200
        return path.replace("{customer_id}", one)
    made: dict[str, tuple[str, dict[str, Any]]] = {
        "{customer_import_id}": ("/customer-imports", {"name": f"for {operation.name}"}),
        "{customer_id}": ("/customers", {"name": "Somebody"}),
        "{view_id}": ("/views", {"name": uuid4().hex, "query": {"open": True}}),
        "{organization_id}": ("/organizations", {"name": "Some company"}),
        "{import_id}": ("/imports", {"name": f"for {operation.name}"}),
        "{calendar_id}": ("/calendars", CALENDAR if operation.bodies else {**CALENDAR, "name": operation.name}),
        "{chat_id}": ("/chats", {}),
        "{agreement_id}": ("/agreements", {"name": "x", "metrics": {"resolution": {"targets": {"P1": {"hours": 1}}}}}),
    }
    for parameter, (collection, body) in made.items():
        if parameter in path:
            made_here = await client.post(collection, json=body)
            # sla knows imports from intake alone.
            identifier = str(uuid4()) if made_here.status_code == 404 else made_here.json()["id"]
            return path.replace(parameter, identifier).replace("{purpose}", "surveys")
    return path.replace("{agent_id}", "anna").replace("{name}", "platform")


async def placed_on_ticket(client: httpx.AsyncClient, operation: Operation, path: str) -> str:
    """The path of an operation on a ticket, leading to one that it can be done to."""
    kind = "problem" if "known-error" in path or "announcements" in path else "incident"
    ticket = (await client.post("/tickets", json={"title": "Login page answers 502", "kind": kind})).json()["number"]
    if before := BEFORE.get(operation.name):
        assert (await client.post(f"/tickets/{ticket}/{before}", json=NEEDED.get(before, {}))).status_code == 200
    if operation.name == "set_fields":
        affected = {"name": "affected", "label": "Affected people", "type": "number"}
        assert (await client.patch("/settings", json={"fields": [affected]})).status_code == 200
    if "{announcement_id}" in path:
        said = {"body": "It is mended.", "after": "resolved"}
        asked = await client.post(f"/tickets/{ticket}/announcements", json=said)
        return path.format(ticket=ticket, announcement_id=asked.json()["id"])
    if "{attachment_id}" in path:
        sent = await client.post(f"/tickets/{ticket}/attachments", params={"name": "trace.log"}, content=b"502\n")
        return path.format(ticket=ticket, attachment_id=sent.json()["id"])
    name = await kept_macro(client) if operation.name == "run_macro" else ""
    return path.format(ticket=ticket, name=name)


async def kept_macro(client: httpx.AsyncClient) -> str:
    """The name of a macro that is there."""
    macro = {"name": uuid4().hex, "description": "x", "operations": [{"action": "note", "data": {"body": "x"}}]}
    assert (await client.post("/macros", json=macro)).status_code == 201
    return str(macro["name"])


async def kept_web_form(client: httpx.AsyncClient) -> str:
    """The name of a web form that is there."""
    form = {"name": uuid4().hex, "title": "Write to our support"}
    assert (await client.post("/web-forms", json=form)).status_code == 201
    return form["name"]


async def addressed(client: httpx.AsyncClient, operation: Operation, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """The body, naming what exists (a ticket, a customer, a message) in place of what the example tells of."""
    if operation.name == "split":
        ticket = path.removesuffix("/split")
        written = [await client.post(f"{ticket}/notes", json={"body": text}) for text in ("stays", "goes")]
        return {**body, "messages": [written[-1].json()["message_id"]]}
    if operation.name == "post_merge":
        return {**body, "into": (await client.post("/customers", json={"name": "Somebody else"})).json()["id"]}
    for member in {"ticket", "into"} & body.keys() if operation.name in {"link", "unlink", "merge"} else ():
        other = (await client.post("/tickets", json={"title": "Certificates are not renewed"})).json()["number"]
        body = {**body, member: other}
        if operation.name == "unlink":
            assert (await client.post(path.replace("/unlink", "/link"), json=body)).status_code == 200
    return body


def refused_requests(operation: Operation) -> Iterator[tuple[str, dict[str, Any]]]:
    """Requests that must be refused, with the status that each must get."""
    path = _filled(operation, NOBODY)
    yield "401", {"url": _filled(operation, str(uuid4())), "headers": {"Authorization": "Bearer nothing"}}
    body = next(iter(operation.bodies.values()), None)
    if body is not None:
        yield "415", {"url": path, "content": b"<title/>", "headers": {"Content-Type": "application/xml"}}
        yield "400", {"url": path, "content": b"{'title'", "headers": {"Content-Type": JSON}}
    if NOBODY in path:
        if "404" in operation.told["responses"]:
            yield "404", {"url": path, "json": body} if body is not None else {"url": path}
    elif body is not None:
        yield "422", {"url": path, "json": {**body, "prioritty": "P1"}}
    if any(parameter["name"] == "cursor" for parameter in operation.told.get("parameters", ())) and NOBODY not in path:
        needed = {
            each["name"]: "x" for each in operation.told["parameters"] if each["in"] == "query" and each["required"]
        }
        yield "400", {"url": path, "params": {**needed, "cursor": "nonsense"}}


def _filled(operation: Operation, value: str) -> str:
    """The operation's path with this value in every place."""
    path = operation.path.removeprefix("/v1")
    for parameter in operation.told.get("parameters", ()):
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", value)
    return path
