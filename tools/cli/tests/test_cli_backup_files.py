"""A backup as files: every byte is kept and checked, and what is damaged is named."""

import gzip
import os
import stat
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from opora_cli.backup.commands import backup_app
from opora_cli.backup.log import Renumbered, batches
from opora_cli.backup.manifest import (
    FORMAT,
    BackedUpDatabase,
    BackedUpPartition,
    Manifest,
    NoBackupError,
    broken_records,
    damaged_files,
    describe_files,
    read_manifest,
    write_manifest,
)
from opora_cli.backup.programs import MissingProgramError, find_program, run_program
from opora_cli.backup.records import LogRecord, RecordError, RecordFile, read_records
from opora_cli.backup.restore import DamagedBackupError, refuse_later_release, sound_backup
from opora_cli.errors import CommandError
from opora_cli.stack import migrations_directory

AT = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)
ODD_RECORDS = [
    LogRecord(0, 1_780_000_000_000, b"key", '{"title": "Тест 😀"}'.encode(), (("ce_id", b"1"), ("ce_type", b"a.b"))),
    LogRecord(1, 1_780_000_000_001, None, b"\xff\xfe\x00", (("broken", b"\xc3\x28"), ("null", None), ("", b""))),
    LogRecord(2, 1_780_000_000_001, b"", None, ()),
    LogRecord(3, 0, b"\x00", b'line\nbreak " and \\', (("ce_id", b"\n"), ("ce_id", b"twice"))),
]


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    """A small backup as the command writes it: one database, two partitions of one topic."""
    directory = tmp_path / "backup"
    (directory / "databases").mkdir(parents=True)
    (directory / "databases/intake.dump").write_bytes(b"PGDMP and more")
    file = RecordFile(directory / "topics/opora.tickets/00.jsonl.gz")
    file.append(ODD_RECORDS)
    file.close()
    write_manifest(directory, manifest_of(directory))
    return directory


def manifest_of(directory: Path, **changes: Any) -> Manifest:
    values: dict[str, Any] = {
        "format": FORMAT,
        "release": "0.2.0",
        "postgres_major": 18,
        "began_at": AT,
        "taken_at": AT,
        "finished_at": AT,
        "writers_stood_still_seconds": 0.02,
        "databases": {
            "intake": BackedUpDatabase(file="databases/intake.dump", migrations=("chassis/0001_pre_chassis.sql",))
        },
        "topics": {
            "opora.tickets": {
                0: BackedUpPartition(first_offset=0, end_offset=4, records=4, file="topics/opora.tickets/00.jsonl.gz"),
                1: BackedUpPartition(first_offset=0, end_offset=0, records=0, file=None),
            }
        },
        "positions": {"sla": {"opora.tickets": {0: 3}}},
        "files": describe_files(directory),
        "has_secrets": False,
    }
    return Manifest(**{**values, **changes})


def test_every_byte_of_a_record_comes_back(tmp_path: Path) -> None:
    """Keys, values and headers that are no text, missing, empty or repeated are the same after writing and reading."""
    file = RecordFile(tmp_path / "records.gz")
    file.append(ODD_RECORDS[:2])
    file.append(ODD_RECORDS[2:])
    file.close()
    assert file.count == 4
    assert list(read_records(tmp_path / "records.gz")) == ODD_RECORDS


def test_a_line_that_is_no_record_is_named(tmp_path: Path) -> None:
    """The reader says which line it could not read."""
    with gzip.open(tmp_path / "records.gz", "wb") as file:
        file.write(b'{"offset": 0, "timestamp_ms": 1, "key": null, "value": null, "headers": []}\n{"offset": 1}\n')
    with pytest.raises(RecordError, match="line 2 is no record"):
        list(read_records(tmp_path / "records.gz"))


def test_a_sound_backup_is_read_as_it_was_written(backup: Path) -> None:
    """The manifest comes back equal, nothing is damaged, and nobody else can read it."""
    manifest = sound_backup(backup)
    assert manifest == manifest_of(backup, files=manifest.files)
    assert manifest.records == 4
    assert list(broken_records(backup, manifest)) == []
    assert stat.S_IMODE((backup / "manifest.json").stat().st_mode) == 0o600


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("name", ["databases/intake.dump", "topics/opora.tickets/00.jsonl.gz"])
@pytest.mark.parametrize(
    ("harm", "words"),
    [(Path.unlink, "is missing"), (_cut, "bytes, the manifest says"), (_flip, "its SHA-256 differs")],
    ids=["deleted", "cut off", "one bit flipped"],
)
def test_a_damaged_file_is_named_and_refused(backup: Path, name: str, harm: Callable[[Path], None], words: str) -> None:
    """A file that is gone, shorter, or changed in one bit: restoring is refused, and verify ends with 1."""
    harm(backup / name)
    with pytest.raises(DamagedBackupError, match=f"{name} .*{words}"):
        sound_backup(backup)
    ended = CliRunner().invoke(backup_app, ["verify", str(backup)])
    assert ended.exit_code == 1
    assert name in ended.output


def test_a_stranger_among_the_files_is_named(backup: Path) -> None:
    """Whatever the manifest does not name does not belong there."""
    (backup / "topics/note.txt").write_text("hello")
    assert list(damaged_files(backup, read_manifest(backup))) == ["topics/note.txt does not belong to the backup"]


def test_without_its_manifest_a_directory_is_no_backup(backup: Path, tmp_path: Path) -> None:
    """A backup that was cut off has none; a damaged one, or one of another format, is said to be so."""
    manifest = backup / "manifest.json"
    text = manifest.read_text()
    manifest.unlink()
    with pytest.raises(NoBackupError, match=r"manifest\.json cannot be read"):
        read_manifest(backup)
    with pytest.raises(NoBackupError, match="no such directory"):
        read_manifest(tmp_path / "elsewhere")
    for damaged, words in (
        (text[:-20], "damaged"),
        (text.replace('"format": 1', '"format": 2'), "its format is 2, this release reads 1"),
        (text.replace('"taken_at"', '"taken"'), "damaged"),
        (text.replace('"databases/intake.dump": {', '"databases/other.dump": {'), "no checksum of databases/intake"),
        (text.replace("databases/intake.dump", "../intake.dump"), "outside of the directory"),
    ):
        manifest.write_text(damaged)
        with pytest.raises(NoBackupError, match=words) as refused:
            read_manifest(backup)
        assert refused.value.exit_code == 2


def test_records_that_are_not_as_the_manifest_says_are_found(backup: Path) -> None:
    """With right checksums over wrong records: too few, too many, and out of order."""
    files = describe_files(backup)
    path = "topics/opora.tickets/00.jsonl.gz"
    for changed, words in (
        ({"records": 3}, f"{path} has 4 records, the manifest says 3"),
        ({"end_offset": 3}, f"{path}: offset 3 of opora.tickets/0 follows 2"),
        ({"first_offset": 1}, f"{path}: offset 0 of opora.tickets/0 follows 0"),
    ):
        partition = BackedUpPartition(**{"first_offset": 0, "end_offset": 4, "records": 4, "file": path, **changed})
        manifest = manifest_of(backup, files=files, topics={"opora.tickets": {0: partition}})
        assert list(broken_records(backup, manifest)) == [words]


def test_a_backup_of_a_later_release_is_refused(backup: Path) -> None:
    """Migrations that this release does not have are named; those that it has are fine."""
    refuse_later_release(read_manifest(backup), migrations_directory)
    database = BackedUpDatabase(file="databases/intake.dump", migrations=("intake/0999_post_future.sql",))
    with pytest.raises(CommandError, match=r"intake has intake/0999_post_future\.sql") as refused:
        refuse_later_release(manifest_of(backup, databases={"intake": database}), migrations_directory)
    assert refused.value.exit_code == 2


def test_positions_mean_the_same_after_renumbering(tmp_path: Path) -> None:
    """Where a topic had dropped its first records, or had holes, each position counts the records below it."""
    whole = Renumbered.of(tmp_path, BackedUpPartition(first_offset=100, end_offset=140, records=40, file="x"))
    assert [whole.position(offset) for offset in (100, 101, 140)] == [0, 1, 40]
    assert [whole.record(offset) for offset in (99, 100, 139)] == [-1, 0, 39]
    file = RecordFile(tmp_path / "holes.gz")
    file.append([LogRecord(offset, 0, None, None, ()) for offset in (10, 11, 13, 17)])
    file.close()
    holes = Renumbered.of(tmp_path, BackedUpPartition(first_offset=10, end_offset=18, records=4, file="holes.gz"))
    assert [holes.position(offset) for offset in (10, 12, 13, 14, 18)] == [0, 2, 2, 3, 4]
    assert [holes.record(offset) for offset in (11, 13, 17, 9)] == [1, 2, 3, -1]


def test_batches_fit_and_keep_the_order() -> None:
    """No batch is larger than a broker takes by default, but for a single record that is; nothing is left out."""
    sizes = [400_000, 400_000, 400_000, 2_000_000, 10, 10]
    records = [LogRecord(offset, 0, None, b"x" * size, ()) for offset, size in enumerate(sizes)]
    assert [[record.offset for record in batch] for batch in batches(records)] == [[0, 1], [2], [3], [4, 5]]


async def test_programs_of_another_version_are_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says which version is needed and which were found where."""
    program = tmp_path / "pg_dump"
    program.write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 97.4 (Debian 97.4-1)'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert await find_program("pg_dump", 97) == program
    with pytest.raises(
        MissingProgramError, match=rf"no pg_dump of PostgreSQL 99.*{program} is of version 97"
    ) as missing:
        await find_program("pg_dump", 99)
    assert missing.value.exit_code == 2


async def test_a_password_is_on_no_command_line(tmp_path: Path) -> None:
    """The program gets the password by its environment, the address without it as an argument."""
    program = tmp_path / "program"
    program.write_text(
        f'#!/bin/sh\necho "$@" > {tmp_path}/arguments\necho "$PGPASSWORD $PGAPPNAME" > {tmp_path}/told\n'
    )
    program.chmod(0o755)
    await run_program(program, ("--format=custom",), "postgresql://opora_sla:s%40cret@db.example:5433/opora_sla")
    assert (tmp_path / "arguments").read_text() == (
        "--format=custom --dbname=postgresql://opora_sla@db.example:5433/opora_sla --no-password\n"
    )
    assert (tmp_path / "told").read_text() == "s@cret opora-backup\n"


async def test_what_a_program_says_of_its_failure_is_told(tmp_path: Path) -> None:
    """The command's error ends with the program's own words."""
    program = tmp_path / "pg_dump"
    program.write_text("#!/bin/sh\necho 'server is on fire' >&2\nexit 3\n")
    program.chmod(0o755)
    with pytest.raises(CommandError, match="pg_dump failed: server is on fire"):
        await run_program(program, (), "postgresql://u@h/d")


def test_a_backup_says_what_it_is(backup: Path) -> None:
    """`show` reads the manifest alone; `verify` reads everything and ends with 0."""
    shown = CliRunner().invoke(backup_app, ["show", str(backup)])
    assert shown.exit_code == 0
    assert "2026-05-04T10:00:00+00:00" in shown.output
    verified = CliRunner().invoke(backup_app, ["verify", str(backup)])
    assert verified.exit_code == 0, verified.output
    assert "is whole: 2 files" in verified.output
