"""A page of one service's HTTP interface, from its OpenAPI document."""

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

from docs.site.markdown import Json, anchor, code, fields_table, in_words, link, prose, table, target, title_of

_JSON = "application/json"


def openapi_page(service: str, document: Mapping[str, Any]) -> str:
    """The page, in Markdown: a list of the operations, each operation with its examples, then every shape."""
    lines = [f"# {service} over HTTP", "", document["info"]["description"], ""]
    lines += [
        f"The same as a document for programs: [{service}.openapi.json]({service}.openapi.json).",
        "",
        "## Operations",
        "",
    ]
    operations = list(_operations(document))
    lines += table(
        ("", "", "scope"),
        (
            (link(told["summary"], anchor(service, told["operationId"])), f"`{call}`", f"`{_scope(told)}`")
            for call, told in operations
        ),
    )
    for call, told in operations:
        lines += _operation(service, call, told)
    lines += ["## Shapes", ""]
    for name, schema in document["components"]["schemas"].items():
        lines += _shape(service, name, schema)
    lines += ["## Refusals", "", "Each is `application/problem+json`, of the shape "]
    lines[-1] += f"{link('Problem', anchor(_shapes(service), 'Problem'))}."
    lines += [""]
    for refusal in document["components"]["responses"].values():
        example = refusal["content"]["application/problem+json"].get("example")
        if example:
            status = HTTPStatus(example["status"])
            lines += [f"### {status.value} {status.phrase}", "", refusal["description"], "", *code("json", example)]
    return "\n".join(lines)


def _operations(document: Mapping[str, Any]) -> Iterator[tuple[str, Json]]:
    for path, methods in document["paths"].items():
        for method, told in methods.items():
            yield f"{method.upper()} {path}", told


def _scope(told: Json) -> str:
    ((scopes,),) = (each.values() for each in told["security"])
    return " ".join(scopes)


def _operation(service: str, call: str, told: Json) -> list[str]:
    lines = [*target(anchor(service, told["operationId"])), f"### {told['summary']}", "", *code("text", call)]
    lines += [prose(told["description"]), ""]
    lines += table(
        ("parameter", "in", "type", "meaning"),
        (
            (
                f"`{parameter['name']}`{'' if parameter.get('required') else ' (optional)'}",
                parameter["in"],
                in_words(parameter["schema"], _shapes(service)),
                prose(parameter.get("description", "")),
            )
            for parameter in told.get("parameters", ())
        ),
    )
    body = told.get("requestBody", {}).get("content", {}).get(_JSON)
    if body:
        lines += [f"Body: {in_words(body['schema'], _shapes(service))}.", ""]
        for example in body.get("examples", {}).values():
            lines += [f"*{example['summary']}*", "", *code("json", example["value"])]
    for status, answer in told["responses"].items():
        if status.startswith("2"):
            content = answer.get("content", {}).get(_JSON)
            shape = f": {in_words(content['schema'], _shapes(service))}" if content else ", without a body"
            lines += [f"Answer `{status}`{shape}.", ""]
            if content and "example" in content:
                lines += code("json", content["example"])
    refusals = [status for status in told["responses"] if status[0] in "45"]
    lines += [f"Refusals: {', '.join(f'`{status}`' for status in refusals)}; see {link('Refusals', 'refusals')}."]
    conflict = told["responses"].get("409", {}).get("description")
    if conflict:
        lines[-1] += f" `409`: {conflict}"
    return [*lines, ""]


def _shape(service: str, name: str, schema: Json) -> list[str]:
    lines = [*target(anchor(_shapes(service), name)), f"### {title_of(name)}", ""]
    lines += [prose(schema.get("description", "")), ""]
    if schema.get("properties"):
        return [*lines, *fields_table(schema, _shapes(service))]
    return [*lines, f"{in_words(schema, _shapes(service))}.", ""]


def _shapes(service: str) -> str:
    """What the anchors of a service's shapes begin with."""
    return f"{service} shape"
