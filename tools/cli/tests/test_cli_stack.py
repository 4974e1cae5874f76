"""What a platform consists of, and what of it is kept from run to run."""

import os
import smtplib
import stat
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest

from opora_cli.checks.gather import SurveyMail
from opora_cli.endpoints import (
    Endpoints,
    ProcessEndpoint,
    ServiceEndpoint,
    described_endpoints,
    lock_directory,
    read_endpoints,
    running_supervisor,
    write_endpoints,
)
from opora_cli.errors import CommandError, NotRunningError, StillStartingError
from opora_cli.mail_sink import MailSink
from opora_cli.stack import (
    SERVICES,
    Secrets,
    StackOptions,
    load_secrets,
    migrations_directory,
    new_api_token,
    plan_processes,
    service_settings,
)
from opora_cli.supervisor import shorten_log
from opora_embedded.ports import find_free_port


@pytest.fixture
def options(tmp_path: Path) -> StackOptions:
    """A platform in an empty directory."""
    return StackOptions(directory=tmp_path)


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[MailSink]:
    """A mail sink that accepts mail."""
    sink = MailSink(tmp_path / "mail")
    sink.start()
    yield sink
    sink.stop()


def some_endpoints(directory: Path, *, supervisor_pid: int | None, port: int = 4711) -> Endpoints:
    process = ProcessEndpoint(name="intake", roles=("all",), url=f"http://127.0.0.1:{port}")
    service = ServiceEndpoint(url=process.url, database_dsn="postgresql://u:secret@h/d", processes=(process,))
    return Endpoints(
        supervisor_pid=supervisor_pid,
        kafka_bootstrap="127.0.0.1:9092",
        kafka_pid=1,
        postgres_pid=2,
        services={"intake": service},
        api_key_file=directory / "api-key",
        smtp="127.0.0.1:25",
        mail_directory=None,
        log_directory=directory / "logs",
    )


def test_there_is_a_process_per_service_or_per_role(options: StackOptions) -> None:
    """Each process has a port of its own; split, each role of each service is a process."""
    whole = plan_processes(options, None)
    split = plan_processes(StackOptions(directory=options.directory, split=True), None)
    assert [(plan.name, plan.roles) for plan in whole] == [(name, ("all",)) for name in SERVICES]
    assert [plan.name for plan in split[:4]] == ["intake-serve", "intake-consume", "intake-relay", "intake-timers"]
    assert len({plan.port for plan in split}) == 16
    assert split[0].command[-3:] == ("-m", "opora_intake", "serve")


def test_a_port_is_kept_while_it_is_free(options: StackOptions, sink: MailSink) -> None:
    """The next run listens where the last one did, unless somebody else took the port meanwhile."""
    kept, taken = find_free_port(), sink.port
    before = some_endpoints(options.directory, supervisor_pid=1, port=kept)
    assert plan_processes(options, before)[0].port == kept
    before = some_endpoints(options.directory, supervisor_pid=1, port=taken)
    assert plan_processes(options, before)[0].port != taken


def test_secrets_are_made_once_and_private(options: StackOptions) -> None:
    """A second run finds the same secrets; nobody but the owner can read the files."""
    first = load_secrets(options)
    assert load_secrets(options) == first
    assert set(first.database_passwords) == set(SERVICES)
    for name in ("secrets.json", "api-key"):
        assert stat.S_IMODE((options.directory / name).stat().st_mode) == 0o600


def test_a_token_has_the_form_that_services_accept() -> None:
    """`opk_` and 43 letters and digits, never the same twice."""
    token = new_api_token()
    assert token.startswith("opk_")
    assert token[4:].isalnum()
    assert len(token) == 47
    assert token != new_api_token()


def test_each_service_is_told_what_it_needs_and_no_more(options: StackOptions) -> None:
    """The signing secret goes to feedback alone, the internal keys to notify alone."""
    known = Secrets(
        dict.fromkeys(SERVICES, "p"), "opk_all", {"notify_intake_key": "i", "notify_feedback_key": "f"}, "s"
    )
    urls = {name: f"http://{name}" for name in SERVICES}
    given = {
        plan.service: service_settings(
            plan,
            urls=urls,
            dsn="dsn",
            kafka_bootstrap="b:1",
            smtp="mail.example:25",
            known=known,
            files=Path("files"),
        )
        for plan in plan_processes(options, None)
    }
    assert [name for name, settings in given.items() if "OPORA_SIGNING_SECRET" in settings] == ["feedback"]
    assert [name for name, settings in given.items() if "OPORA_INTAKE_KEY" in settings] == ["notify"]
    files = {name: settings.get("OPORA_INTAKE_FILES_DIRECTORY") for name, settings in given.items()}
    assert files == {**dict.fromkeys(SERVICES), "intake": str(Path("files").absolute())}
    assert given["notify"]["OPORA_SMTP_HOST"] == "mail.example"
    assert given["notify"]["OPORA_SMTP_PORT"] == "25"
    assert given["feedback"]["OPORA_PUBLIC_URL"] == "http://feedback"
    assert not any("opk_all" in settings.values() for settings in given.values())


@pytest.mark.parametrize("service", SERVICES)
def test_each_service_has_migrations(service: str) -> None:
    """The migrations are found without importing the service."""
    assert list(migrations_directory(service).glob("*.sql"))


def test_a_directory_belongs_to_one_platform(tmp_path: Path) -> None:
    """While one has the directory nobody else gets it; who has it can be asked; afterwards it is free."""
    assert running_supervisor(tmp_path) is None
    lock = lock_directory(tmp_path)
    assert lock is not None
    assert lock_directory(tmp_path) is None
    assert running_supervisor(tmp_path) == os.getpid()
    lock.close()
    assert running_supervisor(tmp_path) is None


def test_endpoints_are_those_of_the_platform_that_runs(tmp_path: Path) -> None:
    """The file of an earlier run is not taken for the present one's, and is readable by its owner only."""
    with pytest.raises(NotRunningError, match="no platform runs"):
        read_endpoints(tmp_path)
    lock = lock_directory(tmp_path)
    assert lock is not None
    write_endpoints(tmp_path, some_endpoints(tmp_path, supervisor_pid=1))
    with pytest.raises(StillStartingError):
        read_endpoints(tmp_path)
    mine = some_endpoints(tmp_path, supervisor_pid=os.getpid())
    write_endpoints(tmp_path, mine)
    assert read_endpoints(tmp_path) == mine
    assert stat.S_IMODE((tmp_path / "endpoints.json").stat().st_mode) == 0o600
    lock.close()


def test_a_platform_without_supervisor_is_taken_as_it_is_described(tmp_path: Path) -> None:
    """Commands work on a platform that something else runs, from a file that says where it is."""
    described = some_endpoints(tmp_path, supervisor_pid=None)
    write_endpoints(tmp_path, described)
    assert read_endpoints(tmp_path) == described


def test_a_platform_can_be_described_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container neither file nor lock is needed: OPORA_ENDPOINTS says where, OPORA_API_KEY by which key."""
    described = some_endpoints(tmp_path, supervisor_pid=None).model_copy(update={"api_key_file": None})
    monkeypatch.setenv("OPORA_ENDPOINTS", described.model_dump_json())
    monkeypatch.setenv("OPORA_API_KEY", "opk_x")
    assert read_endpoints(tmp_path) == described
    assert read_endpoints(tmp_path).api_key == "opk_x"
    monkeypatch.delenv("OPORA_API_KEY")
    with pytest.raises(CommandError, match="set OPORA_API_KEY"):
        _ = described.api_key
    monkeypatch.setenv("OPORA_ENDPOINTS", '{"services": {}}')
    with pytest.raises(CommandError, match="OPORA_ENDPOINTS: kafka_bootstrap: Field required"):
        read_endpoints(tmp_path)


def test_an_unreadable_file_of_an_earlier_run_is_no_obstacle(tmp_path: Path) -> None:
    """A platform starts on fresh ports when it cannot know the old ones."""
    (tmp_path / "endpoints.json").write_text("{")
    assert described_endpoints(tmp_path) is None


def test_a_log_is_shortened_under_its_writer(tmp_path: Path) -> None:
    """What was written is kept beside it, and the open writer goes on in the fresh file."""
    path = tmp_path / "intake.log"
    with path.open("ab", buffering=0) as writer:
        writer.write(b"old\n")
        shorten_log(path)
        writer.write(b"new\n")
    assert (tmp_path / "intake.log.1").read_text() == "old\n"
    assert path.read_text() == "new\n"


def test_mail_becomes_files_that_number_on(tmp_path: Path, sink: MailSink) -> None:
    """Each message is one whole file named after its recipient; a restarted sink goes on counting."""
    _send(sink, "anna@example.com")
    sink.stop()
    sink.start()
    _send(sink, "../../etc/passwd@example.com")
    names = sorted(path.name for path in (tmp_path / "mail").iterdir())
    assert names == ["000001-anna@example.com.eml", "000002-.._.._etc_passwd@example.com.eml"]
    assert "Grüße" in (tmp_path / "mail" / names[0]).read_text("utf-8")


def test_surveys_are_found_in_the_mail_once(sink: MailSink) -> None:
    """A survey's link is known by its ticket, also from an encoded Russian letter; other mail has none."""
    mail = SurveyMail(sink.directory)
    text = "Здравствуйте! Оцените OP-1001:\nhttp://127.0.0.1:5/s/abc_DEF-1/5\nhttp://127.0.0.1:5/s/abc_DEF-1/1\n"
    _send(sink, "a@example.com", subject="[OP-1001] Как мы справились?", text=text)
    _send(sink, "a@example.com", subject="[OP-1002] Resolved")
    assert mail.look() == [("OP-1001", "abc_DEF-1")]
    assert mail.look() == []
    assert mail.tokens == {"OP-1001": frozenset({"abc_DEF-1"})}


def _send(sink: MailSink, recipient: str, *, subject: str = "Hello", text: str = "Grüße") -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "desk@example.com", "someone@example.com", subject
    message.set_content(text, cte="8bit" if text == "Grüße" else "base64")
    host, _, port = sink.address.rpartition(":")
    with smtplib.SMTP(host, int(port), timeout=10) as client:
        client.sendmail("desk@example.com", [recipient], message.as_bytes())
