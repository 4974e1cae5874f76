"""`opora events tail|publish` on a real broker, as people and scripts use them."""

import asyncio
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiokafka import AIOKafkaProducer
from typer.testing import CliRunner, Result

from opora_chassis.testing import running_service
from opora_chassis.topics import create_topics, delete_topics
from opora_cli.endpoints import Endpoints, ServiceEndpoint
from opora_cli.errors import CommandError
from opora_cli.events.commands import events_app
from opora_cli.events.lines import for_people, printable
from opora_cli.events.publish import SOURCE
from opora_cli.events.tail import Ticket, Wanted, follow, ticket_named
from opora_contracts import Event, Fact, decode_structured
from opora_contracts.codec import encode
from opora_contracts.consumer import Place
from opora_contracts.customers import CustomerRegistered
from opora_contracts.gate import examples
from opora_contracts.publisher import Publisher
from opora_contracts.tickets import TicketCreated
from opora_contracts.vocabulary import Channel, Kind, Level, Priority
from opora_embedded.testing import KafkaServer
from opora_intake.app import SERVICE as INTAKE

SUBMITTED = json.loads(examples()["ticket.submitted", 1]["full"])
TICKET_ID = UUID("018f3a52-9b3c-7c5e-9d8c-2f6a41b7e003")
TIME = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)


@pytest.fixture
def prefix(kafka: KafkaServer) -> Iterator[str]:
    """What stands before the names of this test's own topics."""
    own = f"v{uuid4().hex[:10]}."
    asyncio.run(create_topics(kafka.bootstrap, prefix=own))
    yield own
    asyncio.run(delete_topics(kafka.bootstrap, prefix=own))


@pytest.fixture
def run(kafka: KafkaServer, prefix: str) -> Any:
    """Runs one command on this test's topics."""

    def command(*arguments: str, stdin: str = "") -> Result:
        where = ("--bootstrap", kafka.bootstrap, "--prefix", prefix)
        return CliRunner().invoke(events_app, [*arguments, *where], input=stdin)

    return command


def submitted(number: int, **change: Any) -> dict[str, Any]:
    """A request of another system, about a case of its own."""
    return {**SUBMITTED, "id": f"id-{number}", "subject": f"case-{number}", "partitionkey": f"case-{number}", **change}


def refusal(result: Result) -> CommandError:
    """What a command ended with."""
    assert isinstance(result.exception, CommandError), result.output
    return result.exception


def test_a_file_of_events_is_published_and_tailed(run: Any, tmp_path: Path, prefix: str) -> None:
    """Every event of the file stands where the command says, in order, and `tail --json` gives it back as it was."""
    file = tmp_path / "events.jsonl"
    file.write_text("".join(json.dumps(submitted(number)) + "\n" for number in range(5)))
    said = run("publish", str(file))
    assert said.exit_code == 0, said.output
    lines = said.stdout.splitlines()
    assert len(lines) == 5
    assert lines[3].startswith(f"ticket.submitted case-3 → {prefix}opora.requests/")
    assert lines[3].endswith(" (id id-3)")
    shown = run("tail", "--topic", "requests", "--from", "earliest", "--until-end", "--json")
    assert shown.exit_code == 0, shown.output
    events = {event["id"]: event for event in map(json.loads, shown.stdout.splitlines())}
    assert events.keys() == {f"id-{number}" for number in range(5)}
    place = f"{events['id-3']['topic']}/{events['id-3']['partition']}@{events['id-3']['offset']}"
    assert lines[3] == f"ticket.submitted case-3 → {place} (id id-3)"
    assert {name: events["id-3"][name] for name in ("type", "source", "subject", "data", "actor")} == {
        name: submitted(3)[name] for name in ("type", "source", "subject", "data", "actor")
    }
    # What a tail writes can be published and checked again.
    assert run("publish", "-", stdin=shown.stdout).exit_code == 0


def test_publishing_tells_a_script_where_each_event_stands(run: Any, prefix: str) -> None:
    """`publish --json` prints one array, also for a single event; a field that will be ignored is named beside it."""
    event = submitted(1, data={"title": "Disk full", "produkt": "db"})
    said = run("publish", "-", "--json", stdin=json.dumps(event))
    assert (said.exit_code, "are ignored: 'produkt'" in said.stderr) == (0, True)
    (stands,) = json.loads(said.stdout)
    assert (stands["id"], stands["source"], stands["subject"]) == ("id-1", "/monitoring/eu-1", "case-1")
    assert (stands["topic"], stands["offset"]) == (f"{prefix}opora.requests", 0)


def test_one_invalid_event_keeps_all_of_a_file_back(run: Any) -> None:
    """Exit code 1, the event and its fault by name, and nothing on the topic."""
    created_by_intake = json.loads(examples()["ticket.created", 1]["minimal"])
    changes: list[tuple[dict[str, Any], str]] = [
        ({"data": {"title": ""}}, "wrong_schema: not a valid ticket.submitted version 1: data.title: "),
        ({"source": "/opora/intake"}, "reserved_source: attribute source '/opora/intake' is reserved"),
        ({"id": None}, "missing_attribute: attribute id is missing"),
        (created_by_intake, "refused: ticket.created is a fact that intake alone writes on opora.tickets"),
    ]
    for change, words in changes:
        said = run("publish", "-", stdin=json.dumps([submitted(1), submitted(2, **change), submitted(3)]))
        assert said.exit_code == 1
        assert f"event 2 (line 1): not valid: {words}" in said.stderr
        assert said.stderr.splitlines()[-1] == "nothing was published"
    assert run("tail", "--from", "earliest", "--until-end", "--json").stdout == ""


def test_a_file_without_events_is_unusable() -> None:
    """Nothing to publish is a mistake, not a success: exit code 2."""
    for file, stdin, words in (
        ("-", "", "standard input holds no event"),
        ("-", "[]", "standard input holds no event"),
        ("nowhere.json", "", "nowhere.json cannot be read: No such file or directory"),
    ):
        ended = CliRunner().invoke(events_app, ["publish", file, "--bootstrap", "127.0.0.1:1"], input=stdin)
        error = refusal(ended)
        assert (error.exit_code, words in error.message) == (2, True), error.message


def test_a_tail_shows_what_was_asked_for(run: Any, kafka: KafkaServer, prefix: str) -> None:
    """By topic, by type and pattern, by ticket, from a place, and at most so many; as lines that people read."""
    reply = {"type": "ticket.reply.submitted", "dataschema": None, "data": {"body": "97 %", "ticket_number": "OP-7"}}
    assert run("publish", "-", stdin=json.dumps([submitted(1), submitted(2, **reply)])).exit_code == 0
    record = encode(created())
    asyncio.run(put(kafka.bootstrap, f"{prefix}opora.tickets", record.key, record.value, list(record.headers)))
    start = ("tail", "--from", "earliest", "--until-end")
    (line,) = run(*start, "--type", "ticket.created").stdout.splitlines()
    assert line.startswith(f"2026-03-01 09:30:00.000Z  ticket.created          {TICKET_ID} #1  number=OP-7 ")
    assert 'title="Disk full" channel=event kind=incident impact=high urgency=low priority=P2' in line
    assert re.search(rf" category=\\x1b\[31mred  {re.escape(prefix)}opora\.tickets/\d+@0$", line), line
    for options, types in (
        ((), ["ticket.created", "ticket.reply.submitted", "ticket.submitted"]),
        (("--topic", "tickets"), ["ticket.created"]),
        (("--topic", "opora.requests", "--topic", "sla"), ["ticket.reply.submitted", "ticket.submitted"]),
        (("--type", "ticket.*submitted"), ["ticket.reply.submitted", "ticket.submitted"]),
        (("--ticket", str(TICKET_ID)), ["ticket.created"]),
        (("--ticket", str(uuid4())), []),
        (("--from", "latest"), []),
        (("--from", "1"), []),
        (("--from", "0"), ["ticket.created", "ticket.reply.submitted", "ticket.submitted"]),
        (("--from", "1970-01-02T00:00:00Z", "--type", "ticket.created"), ["ticket.created"]),
        (("--from", "2200-01-02T00:00:00Z"), []),
    ):
        shown = run(*start, *options)
        assert shown.exit_code == 0, shown.output
        assert sorted(one.split()[2] for one in shown.stdout.splitlines()) == types, options
    assert len(run("tail", "--from", "earliest", "--count", "2").stdout.splitlines()) == 2


def test_a_tail_shows_also_what_is_no_event(run: Any, kafka: KafkaServer, prefix: str) -> None:
    """A record that nobody can read, and a type of a later release, are lines of their own, also as JSON."""
    record = encode(created())
    later = [(name, b"ticket.sung" if name == "ce_type" else text) for name, text in record.headers]
    later = [(name, text) for name, text in later if name != "ce_dataschema"]
    asyncio.run(put(kafka.bootstrap, f"{prefix}opora.tickets", b"k", b"{", list(record.headers)))
    asyncio.run(put(kafka.bootstrap, f"{prefix}opora.tickets", b"k", record.value, later))
    broken, unknown = run("tail", "--from", "earliest", "--until-end").stdout.splitlines()
    assert broken.startswith("no event: bad_json: the record's value is not JSON")
    assert "ticket.sung" in unknown
    assert "unknown to this release, from /opora/intake" in unknown
    broken, unknown = map(json.loads, run("tail", "--from", "earliest", "--until-end", "--json").stdout.splitlines())
    assert (broken["undecodable"], broken["key"], broken["offset"]) == ("bad_json", "k", 0)
    assert (unknown["unknown"], unknown["sequence"], unknown["offset"]) == ("ticket.sung", 1, 1)


def test_a_line_for_people_tells_nobody_who_a_person_is() -> None:
    """What the contract marks as personal is left out of a line."""
    event: Event[Fact] = Event(
        id="1",
        source="/opora/intake",
        type="customer.registered",
        version=1,
        time=TIME,
        subject=str(TICKET_ID),
        sequence=1,
        data=CustomerRegistered(customer_id=TICKET_ID, name="Maria Keller", email="maria@example.com", language="de"),
    )
    line = for_people(event, Place("opora.customers", 3, 7)).plain
    assert line.endswith("#1  name=… email=… language=de  opora.customers/3@7")


@pytest.mark.parametrize(
    ("text", "shown"),
    [("Диск 93 % 🙂", "Диск 93 % 🙂"), ("a\x1b[2J", "a\\x1b[2J"), ("\u202eb", "\\u202eb"), ("a\nb", "a\\nb")],
)
def test_a_line_cannot_move_the_terminal(text: str, shown: str) -> None:
    """Escape sequences, direction overrides and line breaks are shown, not obeyed."""
    assert printable(text) == shown


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--from", "yesterday"], "neither earliest nor latest, nor an offset, nor a time"),
        (["--from", "2999-01-01T00:00:00Z"], "in the years 1970 to 2261"),
        (["--topic", "orders"], "no topic is called orders; there are opora.customers"),
        (["--ticket", "OP-7"], "give its id, or --directory instead of --bootstrap"),
    ],
)
def test_wrong_usage_of_a_tail_is_said(arguments: list[str], words: str) -> None:
    """A place, a topic or a ticket that cannot be meant: exit code 2 and what can."""
    error = refusal(CliRunner().invoke(events_app, ["tail", "--bootstrap", "127.0.0.1:1", *arguments]))
    assert (error.exit_code, words in error.message) == (2, True), error.message


def test_without_a_platform_or_its_topics_the_next_command_is_named(kafka: KafkaServer, tmp_path: Path) -> None:
    """No platform in the directory, no broker at the address, no topics on it: exit code 3 and what to do."""
    nowhere = ["--directory", str(tmp_path)]
    for command in (["tail", *nowhere], ["publish", "-", *nowhere]):
        error = refusal(CliRunner().invoke(events_app, command, input=json.dumps(SUBMITTED)))
        assert (error.exit_code, error.next_command) == (3, f"opora up --detach --directory {tmp_path}")
    for command in (["tail"], ["publish", "-"]):
        where = ["--bootstrap", kafka.bootstrap, "--prefix", "strange."]
        error = refusal(CliRunner().invoke(events_app, [*command, *where], input=json.dumps(SUBMITTED)))
        assert error.exit_code == 3
        assert re.search(r"has no topic .*strange\.opora\.requests", error.message)


@pytest.mark.parametrize("command", ["tail", "publish"])
def test_each_command_says_how_it_ends(command: str) -> None:
    """The help documents the exit codes."""
    shown = CliRunner().invoke(events_app, [command, "--help"])
    assert (shown.exit_code, bool(re.search(r"Exit\s+codes", shown.output))) == (0, True)


@pytest.mark.parametrize("end", ["Ctrl-C", "a reader that leaves"])
@pytest.mark.usefixtures("heard_interrupts")
def test_a_tail_follows_until_somebody_has_enough(kafka: KafkaServer, prefix: str, end: str) -> None:
    """It prints an event that arrives while it runs; Ctrl-C and a closed pipe both end it quietly with exit code 0."""
    script = "from opora_cli.events.commands import events_app; events_app()"
    where = ("--bootstrap", kafka.bootstrap, "--prefix", prefix, "--from", "earliest")
    record = encode(created())
    row = (f"{prefix}opora.tickets", record.key, record.value, list(record.headers))
    asyncio.run(put(kafka.bootstrap, *row))
    with subprocess.Popen(
        (sys.executable, "-c", script, "tail", *where), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as tail:
        assert tail.stdout is not None
        assert tail.stderr is not None
        assert "ticket.created" in tail.stdout.readline(), tail.stderr.read()
        asyncio.run(put(kafka.bootstrap, *row))
        assert "ticket.created" in tail.stdout.readline(), tail.stderr.read()
        if end == "Ctrl-C":
            tail.send_signal(signal.SIGINT)
        else:
            tail.stdout.close()
            asyncio.run(put(kafka.bootstrap, *row))
        assert tail.wait(30) == 0
        complaint = tail.stderr.read()
    assert re.fullmatch(r"following .* from earliest; Ctrl-C ends\n", complaint), complaint


@pytest.mark.slow
async def test_a_ticket_is_found_by_its_number(kafka: KafkaServer, database: str) -> None:
    """The number is known to intake: facts are shown, and what another system submitted, of this ticket alone."""
    async with running_service(INTAKE, kafka, database) as intake:
        prefix = intake.platform.settings.topic_prefix
        events = [submitted(number, data={"title": f"Disk {number}"}) for number in range(2)]
        async with Publisher(kafka.bootstrap, source=SOURCE, topic_prefix=prefix) as publisher:
            for event in events:
                decoded = decode_structured(json.dumps(event).encode())
                assert isinstance(decoded, Event)
                await publisher.publish_event(decoded)

        async def opened() -> Any:
            return (await intake.client.get("/v1/tickets", params={"external_id": "case-1"})).json()["items"]

        (ticket,) = await intake.wait_until(opened)
        key = intake.client.headers["Authorization"].removeprefix("Bearer ")
        about = await ticket_named(ticket["number"], endpoints(str(intake.client.base_url), key, kafka.bootstrap))
        assert about == Ticket(ticket["id"], ticket["number"], ("/monitoring/eu-1", "case-1"))
        shown: list[str] = []
        await follow(
            kafka.bootstrap,
            ["opora.requests", "opora.tickets"],
            Wanted(ticket=about),
            lambda given, _: shown.append(given.type if isinstance(given, Event) else ""),
            start="earliest",
            until_end=True,
            most=None,
            topic_prefix=prefix,
        )
    assert sorted(shown) == ["ticket.created", "ticket.submitted"]


class _Known(Endpoints):
    """A platform whose key is at hand."""

    key: str

    @property
    def api_key(self) -> str:
        return self.key


def endpoints(url: str, key: str, bootstrap: str) -> Endpoints:
    """A platform that has an intake only."""
    intake = ServiceEndpoint(url=url, database_dsn="", processes=())
    return _Known(kafka_bootstrap=bootstrap, services={"intake": intake}, api_key_file=Path("-"), smtp="-", key=key)


@pytest.fixture
def heard_interrupts() -> Iterator[None]:
    """Ctrl-C reaches the processes that a test starts, also where this one was started in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


async def put(bootstrap: str, topic: str, key: bytes, value: bytes, headers: list[tuple[str, bytes]]) -> None:
    """Write a record as it is, all of a key in one partition."""
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        await producer.send_and_wait(topic, value, key=key, headers=headers)


def created() -> Event[Fact]:
    """A ticket's first fact, with an escape sequence where the contract does not forbid one."""
    data = TicketCreated(
        ticket_id=TICKET_ID,
        number="OP-7",
        title="Disk full",
        channel=Channel.EVENT,
        kind=Kind.INCIDENT,
        impact=Level.HIGH,
        urgency=Level.LOW,
        priority=Priority.P2,
        category="\x1b[31mred",
    )
    return Event(
        id="c-1",
        source="/opora/intake",
        type="ticket.created",
        version=1,
        time=TIME,
        subject=str(TICKET_ID),
        key=str(TICKET_ID),
        sequence=1,
        data=data,
    )
