"""Files of customers over HTTP: imports that can be repeated and gone on with, and exports."""

import csv
import io
import json
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from opora_contracts.topics import CUSTOMERS
from opora_intake.api import customer_files
from opora_intake.domain.customer_files import COLUMNS

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def opened(desk: Any, file_format: str = "csv", **headers: str) -> Any:
    """A new import."""
    return await desk.post("/customer-imports", {"name": uuid4().hex, "format": file_format}, **headers)


async def imported(desk: Any, text: str, file_format: str = "csv", piece: int = 10_000) -> Any:
    """The import of a file, in pieces of so many characters, as it stands in the end."""
    one = await opened(desk, file_format)
    for start in range(0, len(text), piece):
        part = text[start : start + piece]
        body = {"offset": one["received_bytes"], "text": part, "last": start + piece >= len(text)}
        one = await desk.post(f"/customer-imports/{one['id']}/pieces", body)
    return one


def counts(one: Any) -> tuple[int, int, int, int]:
    """Registered, changed, unchanged, refused."""
    return one["registered"], one["changed"], one["unchanged"], one["refused"]


async def test_a_file_is_imported_in_pieces_and_again_without_effect(desk: Any) -> None:
    """Wherever the pieces end, each row is carried out once; the same file again changes nothing."""
    mark = uuid4().hex
    rows = [f'"Ännä, ""{n}""\nB.",a{n}.{mark}@example.com;b{n}.{mark}@example.com,de,given' for n in range(7)]
    text = "\ufeffname,emails,language,surveys\r\n" + "".join(f"{row}\r\n" for row in rows)
    one = await imported(desk, text, piece=11)
    assert (one["state"], one["rows"], counts(one)) == ("done", 7, (7, 0, 0, 0))
    (customer,) = (await desk.get("/customers", email=f"b3.{mark}@example.com"))["items"]
    assert (customer["name"], customer["email"]) == ('Ännä, "3"\nB.', f"a3.{mark}@example.com")
    assert [(each["purpose"], each["given"]) for each in customer["consents"]] == [("surveys", True)]
    (fact,) = await desk.published(CUSTOMERS.name, customer["id"], 1)
    assert fact.data.language == "de"
    assert counts(await imported(desk, text)) == (0, 0, 7, 0)
    assert (await desk.get(f"/customers/{customer['id']}"))["version"] == 1


async def test_refused_rows_are_reported_by_line(desk: Any) -> None:
    """Each with its line, field, reason and what to write instead; the rows around them are carried out."""
    mark = uuid4().hex
    known = await desk.post("/customers", {"name": "K", "email": f"k.{mark}@example.com"})
    other = await desk.post("/customers", {"name": "O", "email": f"o.{mark}@example.com"})
    lines = [
        "name,emails,phones,organization_id",
        f"Good,good.{mark}@example.com,'+4930901820,",
        "Bad address,nobody,,",
        "Bad phone,,030 901820,",
        "Nothing to find by,,,",
        f",new.{mark}@example.com,,",
        f"Two people,k.{mark}@example.com;o.{mark}@example.com,,",
        f"No such company,x.{mark}@example.com,,{uuid4()}",
        "Too,few",
        'Quote "inside" text,,,"open',
        f"Last,last.{mark}@example.com,,",
    ]
    one = await imported(desk, "\n".join(lines))
    assert counts(one) == (2, 0, 0, 8)
    refused = (await desk.get(f"/customer-imports/{one['id']}/refusals"))["items"]
    told = [(each["line"], each["field"]) for each in refused]
    assert told == [
        (3, "emails"),
        (4, "phones"),
        (5, "emails"),
        (6, "name"),
        (7, "emails"),
        (8, "organization_id"),
        (9, None),
        (10, None),
    ]
    assert all(each["reason"] and each["instead"] for each in refused)
    assert known["id"] in refused[4]["reason"]
    assert other["id"] in refused[4]["reason"]
    assert "never closed" in refused[7]["reason"]
    page = await desk.get(f"/customer-imports/{one['id']}/refusals", limit=3)
    assert len(page["items"]) == 3
    assert page["next_cursor"]


async def test_an_import_goes_on_where_it_was_cut_off(desk: Any) -> None:
    """A piece again is left alone, one from elsewhere is refused with the place to go on at, and the name finds it."""
    mark = uuid4().hex
    one = await opened(desk)
    path = f"/customer-imports/{one['id']}/pieces"
    first: dict[str, Any] = {"offset": 0, "text": f"name,emails\nÄ,a.{mark}@example.com\nB,b."}
    taken = await desk.post(path, first)
    assert taken == await desk.post(path, first)
    assert taken["registered"] == 1
    problem = await desk.post(path, {"offset": 3, "text": "x" * 500}, status=409)
    assert str(taken["received_bytes"]) in problem["detail"]
    again = await desk.post("/customer-imports", {"name": one["name"]})
    assert (again["id"], again["received_bytes"]) == (one["id"], len(first["text"].encode()))
    last = {"offset": again["received_bytes"], "text": f"{mark}@example.com", "last": True}
    done = await desk.post(path, last)
    assert (done["state"], done["registered"]) == ("done", 2)
    assert await desk.post(path, last) == done
    problem = await desk.post(path, {"offset": done["received_bytes"], "text": "more"}, status=409)
    assert "is done" in problem["detail"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name;emails\nA;a@example.com\n", "with commas"),
        ("name,mail\n", "columns mail are unknown"),
        ("name,emails,name\n", "named twice"),
        ("name,language\n", "names none of id, emails, phones"),
    ],
)
async def test_a_file_that_cannot_be_understood_ends_the_import(desk: Any, text: str, said: str) -> None:
    """The problem says what to do; nothing was carried out."""
    one = await imported(desk, text)
    assert (one["state"], one["rows"]) == ("failed", 0)
    assert said in one["problem"]


async def test_the_limits_of_an_import(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many bytes, rows, characters a row and characters a piece, and not one more."""
    header = "name,emails\n"
    monkeypatch.setattr(customer_files, "LIMITS", replace(customer_files.LIMITS, most_rows=2, longest_row=100))
    three = header + "".join(f"A,{uuid4().hex}@example.com\n" for _ in range(3))
    assert "more than 2 rows" in (await imported(desk, three))["problem"]
    assert (await imported(desk, three[: three.rindex("A,")]))["registered"] == 2
    long = header + "A" * 101 + f",x\nB,{uuid4().hex}@example.com\n"
    for piece in (7, 1000):
        one = await imported(desk, long, piece=piece)
        assert one["refused"] == 1
        (refused,) = (await desk.get(f"/customer-imports/{one['id']}/refusals"))["items"]
        assert (refused["line"], "more than 100 characters" in refused["reason"]) == (2, True)
    monkeypatch.setattr(customer_files, "LIMITS", replace(customer_files.LIMITS, most_bytes=20))
    assert "more than 20 bytes" in (await imported(desk, three))["problem"]
    one = await opened(desk)
    await desk.post(f"/customer-imports/{one['id']}/pieces", {"offset": 0, "text": "x" * 262_145}, status=422)
    problem = await desk.post(f"/customer-imports/{one['id']}/pieces", {"offset": 0, "text": "n\x00a"}, status=422)
    assert "UTF-16" in problem["detail"]


async def test_refusals_beyond_the_limit_are_counted_alone(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of nothing but errors does not fill the database with their reasons."""
    monkeypatch.setattr(customer_files, "LIMITS", replace(customer_files.LIMITS, most_refusals=2))
    one = await imported(desk, "name,emails\n" + "A,nobody\n" * 5, piece=20)
    assert one["refused"] == 5
    assert len((await desk.get(f"/customer-imports/{one['id']}/refusals"))["items"]) == 2


async def test_an_export_can_be_imported_and_changes_nothing(desk: Any) -> None:
    """Both formats, formulas and all; no cell of the CSV begins as a formula does; merged customers are left out."""
    mark = uuid4().hex
    names = [f"=cmd|'/c calc'!A0 {mark}", f"+{mark}", f"-{mark}", f"@{mark}", f"\t{mark}", f"'={mark}", f'Ä,"\n{mark}']
    made = [
        await desk.post("/customers", {"name": name, "emails": [f"x{n}.{mark}@example.com"], "phones": ["+4930901820"]})
        for n, name in enumerate(names)
    ]
    gone = await desk.post("/customers", {"name": "Gone", "email": f"gone.{mark}@example.com"})
    await desk.post(f"/customers/{gone['id']}/merge", {"into": made[0]["id"]})
    for file_format in ("csv", "jsonl"):
        answer = await desk.client.get("/v1/customers/export", params={"format": file_format})
        assert answer.headers["content-disposition"] == f'attachment; filename="customers.{file_format}"'
        text = answer.content.decode("utf-8")
        if file_format == "csv":
            header, *rows = csv.reader(io.StringIO(text, newline=""))
            assert tuple(header) == COLUMNS
            assert not [cell for row in rows for cell in row if cell[:1] in "=+-@\t\r" and cell]
            exported = {row[0] for row in rows}
        else:
            exported = {json.loads(line)["id"] for line in text.splitlines()}
        assert {one["id"] for one in made} <= exported
        assert gone["id"] not in exported
        one = await imported(desk, text, file_format)
        assert (one["state"], counts(one)[:2], one["refused"]) == ("done", (0, 0), 0)
        assert one["unchanged"] == len(exported)


async def test_lines_of_json_are_refused_one_by_one(desk: Any) -> None:
    """What is no JSON, no object, or names an unknown field costs its own line."""
    mark = uuid4().hex
    lines = [
        json.dumps({"name": "A", "emails": [f"a.{mark}@example.com"], "newsletter": "withdrawn"}),
        "{",
        "[]",
        json.dumps({"name": "B", "mail": "x"}),
        "",
        "[" * 5000,
        json.dumps({"name": "A", "emails": [f"A.{mark}@EXAMPLE.com"], "phones": ["+49 30 901820"]}),
    ]
    one = await imported(desk, "\n".join(lines), "jsonl", piece=300)
    assert counts(one) == (1, 1, 0, 4)
    refused = (await desk.get(f"/customer-imports/{one['id']}/refusals"))["items"]
    assert [each["line"] for each in refused] == [2, 3, 4, 6]
    (customer,) = (await desk.get("/customers", email=f"a.{mark}@example.com"))["items"]
    assert (customer["phones"], customer["version"]) == (["+4930901820"], 2)
