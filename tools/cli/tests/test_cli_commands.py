"""The command line: one clear line and the next command where something is wrong, documented exit codes."""

import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from opora_cli.client import RefusedError, ServiceClient
from opora_cli.errors import CommandError
from opora_cli.main import app, run
from opora_cli.metrics import read_metrics, total
from tools.cli.tests.logs import servicenow_row, servicenow_text, write

COMMANDS = (
    ["up"],
    ["down"],
    ["status"],
    ["demo"],
    ["desk"],
    ["migrate"],
    ["backup", "create"],
    ["backup", "verify"],
    ["backup", "show"],
    ["restore"],
    ["republish"],
    ["drill"],
    ["doctor"],
    ["replay", "servicenow"],
    ["replay", "italian"],
    ["topics", "create"],
    ["topics", "check"],
    ["keys", "create"],
    ["keys", "ensure"],
    ["keys", "list"],
    ["keys", "revoke"],
    ["dead-letters", "list"],
    ["dead-letters", "show"],
    ["dead-letters", "redrive"],
    ["dead-letters", "discard"],
    ["events", "tail"],
    ["events", "publish"],
    ["contracts", "asyncapi"],
    ["contracts", "schemas"],
    ["contracts", "examples"],
    ["contracts", "validate"],
    ["contracts", "conformance"],
    ["contracts", "openapi"],
    ["sla", "calendar", "eval"],
    ["sla", "calendar", "preview"],
    ["sla", "agreements", "lint"],
    ["sla", "agreements", "preview"],
    ["sla", "agreements", "migrate"],
    ["sla", "simulate"],
    ["sla", "report", "compliance"],
    ["sla", "report", "breaches"],
    ["sla", "report", "times"],
    ["sla", "report", "pauses"],
    ["sla", "explain"],
    ["customers", "import"],
    ["customers", "export"],
)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_says_how_it_ends(command: list[str]) -> None:
    """The help of each command documents its exit codes."""
    shown = CliRunner().invoke(app, [*command, "--help"])
    assert shown.exit_code == 0
    assert re.search(r"Exit\s+codes", shown.output)


@pytest.mark.parametrize("command", [["status"], ["down"], ["doctor"], ["topics", "check"], ["keys", "list"]])
def test_without_a_platform_a_command_says_how_to_get_one(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line, the next command, and exit code 3."""
    monkeypatch.setattr("sys.argv", ["opora", *command, "--directory", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        run()
    lines = capsys.readouterr().err.splitlines()
    assert ended.value.code == 3
    assert lines == [f"opora: no platform runs in {tmp_path}", f"next: opora up --detach --directory {tmp_path}"]


def test_the_command_works_where_no_server_is_embedded() -> None:
    """Images hold no embedded servers: whatever containers call loads without them."""
    program = (
        "import sys; sys.modules['opora_embedded'] = None\n"  # importing it fails now
        "import opora_cli.demo.desk, opora_cli.demo.stage, opora_cli.mail_sink, opora_cli.services\n"
        "from opora_cli.main import app; app(['--help'])"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "migrate" in ended.stdout


def test_a_replay_of_another_file_ends_before_anything_starts(tmp_path: Path) -> None:
    """A file that is no such log, or holds no ticket that can be read, is unusable input."""
    runner = CliRunner()
    other = write(tmp_path / "other.csv", "a,b\n1,2\n")
    ended = runner.invoke(app, ["replay", "servicenow", str(other), "--directory", str(tmp_path)])
    assert isinstance(ended.exception, CommandError)
    assert ended.exception.exit_code == 2
    broken = write(tmp_path / "broken.csv", servicenow_text([servicenow_row("INC1", "Asleep", "1/3/2016 08:00")]))
    ended = runner.invoke(app, ["replay", "servicenow", str(broken), "--directory", str(tmp_path)])
    assert isinstance(ended.exception, CommandError)
    assert "no ticket" in ended.exception.message
    assert f"{broken}:2: incident_state 'Asleep' is unknown" in ended.output.replace("\n", "")


def test_wrong_usage_is_refused_at_once(tmp_path: Path) -> None:
    """An unknown service to kill, an address without a port: exit code 2."""
    runner = CliRunner()
    for wrong in (["demo", "--kill", "kafka"], ["up", "--smtp", "mailhost"]):
        assert runner.invoke(app, [*wrong, "--directory", str(tmp_path)]).exit_code == 2
    ended = runner.invoke(app, ["dead-letters", "redrive", "--directory", str(tmp_path)])
    assert isinstance(ended.exception, CommandError)
    assert ended.exception.exit_code == 2


def test_metrics_are_summed_over_their_labels() -> None:
    """A total takes all samples of a name, or those with given labels; names that only begin alike are others."""
    text = (
        "# TYPE opora_consumer_lag_records gauge\n"
        'opora_consumer_lag_records{service="sla",partition="0"} 3\n'
        'opora_consumer_lag_records{service="sla",partition="1"} 4\n'
        'opora_consumer_lag_records{service="notify",partition="0"} 5\n'
        "opora_consumer_lag_records_created 1.7e9\n"
        "opora_outbox_rows 1.0\n"
    )
    metrics = read_metrics(text)
    assert total(metrics, "opora_consumer_lag_records") == 12
    assert total(metrics, "opora_consumer_lag_records", service="sla") == 7
    assert total(metrics, "opora_outbox_rows") == 1
    assert total(metrics, "opora_unheard_of") == 0


async def test_a_write_is_repeated_under_one_idempotency_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that comes back after a while sees the same key again, so that nothing is written twice."""
    keys: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        keys.append(request.headers["Idempotency-Key"])
        if len(keys) == 1:
            raise httpx.ConnectError("refused", request=request)
        return httpx.Response(503 if len(keys) == 2 else 201, json={"id": "x"})

    monkeypatch.setattr("opora_cli.client._PAUSE_SECONDS", 0)
    client = _client(answer)
    assert await client.post("/v1/tickets", {"title": "t"}, actor="agent:anna") == {"id": "x"}
    await client.close()
    assert len(keys) == 3
    assert len(set(keys)) == 1


async def test_a_refusal_is_told_in_the_services_words() -> None:
    """A problem document's detail becomes the command's one line; it is not tried again."""
    calls: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        calls.append(request.url.path)
        return httpx.Response(409, json={"title": "Conflict", "detail": "cannot close a ticket that is received"})

    client = _client(answer)
    with pytest.raises(RefusedError, match="409: cannot close a ticket") as refused:
        await client.post("/v1/tickets/1/close", {})
    await client.close()
    assert refused.value.status == 409
    assert len(calls) == 1


def _client(answer: object) -> ServiceClient:
    client = ServiceClient("intake", "http://intake.test", "opk_x")
    client._http = httpx.AsyncClient(base_url=client.url, transport=httpx.MockTransport(answer))  # type: ignore[arg-type]
    return client
