"""`opora customers import` and `export`, as somebody types them, against a running platform."""

import asyncio
import csv
import io
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

import pytest

from opora_cli.endpoints import Endpoints, ServiceEndpoint
from tests.e2e.stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def opora(platform: Stack, *words: str) -> tuple[int, str]:
    """The command's exit code and what it printed, speaking to this platform."""
    one = ServiceEndpoint(url=platform.urls["intake"], database_dsn="postgresql://nowhere", processes=())
    described = Endpoints(kafka_bootstrap="127.0.0.1:1", services={"intake": one}, smtp="127.0.0.1:1")
    variables: Mapping[str, str] = {
        **os.environ,
        "OPORA_ENDPOINTS": described.model_dump_json(),
        "OPORA_API_KEY": platform.api_key,
    }
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("opora")),
        *words,
        env=variables,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    printed, said = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode in {0, 1}, said.decode()
    return process.returncode or 0, printed.decode()


async def test_customers_come_from_files_and_go_into_files(platform: Stack, tmp_path: Path) -> None:
    """Refused rows are named by line; the same file again changes nothing, and neither does what was exported."""
    mark = uuid4().hex
    people = [f'"=1+1, ""{number}""",{number}.{mark}@example.com,de' for number in range(2_500)]
    given = tmp_path / "given.csv"
    # Bigger than a piece of what is sent at a time, with a row in the middle that cannot be taken in.
    given.write_text("name,emails,language\n" + "\n".join([*people, "Nobody,not an address,de", *people[:1]]) + "\n")
    code, printed = await opora(platform, "customers", "import", str(given))
    assert code == 1
    assert f"{given}:2502: emails" in printed
    assert "2502 rows: 2500 registered, 0 changed, 1 unchanged, 1 refused" in printed

    code, again = await opora(platform, "customers", "import", str(given), "--name", f"again {mark}", "--json")
    assert code == 1
    told = json.loads(again)
    assert (told["registered"], told["changed"], told["unchanged"], told["refused"]) == (0, 0, 2501, 1)
    assert [refusal["line"] for refusal in told["refusals"]] == [2502]

    exported = tmp_path / "exported.csv"
    assert (await opora(platform, "customers", "export", "--output", str(exported)))[0] == 0
    rows = [row for row in csv.DictReader(io.StringIO(exported.read_text("utf-8-sig"))) if mark in row["emails"]]
    assert len(rows) == 2_500
    assert all(row["name"].startswith("'=1+1") for row in rows)
    code, back = await opora(platform, "customers", "import", str(exported), "--json")
    told = json.loads(back)
    assert (code, told["registered"], told["changed"], told["refused"]) == (0, 0, 0, 0)
    assert told["unchanged"] == told["rows"] >= 2_500


async def test_a_file_that_is_none_changes_nothing(platform: Stack, tmp_path: Path) -> None:
    """The first line says what is wrong with it."""
    given = tmp_path / "given.csv"
    given.write_text("surname,post code\nIda,1010\n")
    code, printed = await opora(platform, "customers", "import", str(given))
    assert code == 1
    assert "surname" in printed
    assert "0 rows: 0 registered, 0 changed, 0 unchanged, 0 refused" in printed
