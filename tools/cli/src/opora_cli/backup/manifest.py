"""What a backup is: a directory whose manifest names every file with its size and SHA-256. Without it, it is none."""

import gzip
import hashlib
import os
import zlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from opora_cli.backup.records import RecordError, read_records
from opora_cli.errors import UNUSABLE_INPUT, CommandError

MANIFEST = "manifest.json"
FORMAT = 1


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class BackedUpFile(_Part):
    """One file of the backup."""

    bytes: int
    sha256: str


class BackedUpPartition(_Part):
    """One partition of a topic as it stood at the backup's instant."""

    first_offset: int
    """Where the topic began: 0 unless its retention has dropped records."""
    end_offset: int
    """The first offset that is not in the backup."""
    records: int
    file: str | None
    """None for an empty partition."""
    last_record: str | None = None
    """A fingerprint of the last record: the same at the same place means that a log is the one that was backed up."""


class BackedUpDatabase(_Part):
    """One service's database."""

    file: str
    migrations: tuple[str, ...]
    """`set/file`, in order, as they were applied."""


class Manifest(_Part):
    """Everything that a restore needs to know before it begins."""

    format: int
    release: str
    """The release of Opora that took the backup."""
    postgres_major: int
    began_at: datetime
    taken_at: datetime
    """The backup's instant, on the database's clock: what was acknowledged before it is in the backup."""
    finished_at: datetime
    writers_stood_still_seconds: float
    """For how long, around the instant, commits that publish facts had to wait."""
    databases: dict[str, BackedUpDatabase]
    topics: dict[str, dict[int, BackedUpPartition]]
    positions: dict[str, dict[str, dict[int, int]]]
    """By service, topic and partition: below this offset the service's database has everything."""
    files: dict[str, BackedUpFile]
    has_secrets: bool

    @property
    def size_bytes(self) -> int:
        """What the files take together."""
        return sum(file.bytes for file in self.files.values())

    @property
    def records(self) -> int:
        """How many records of the log are in the backup."""
        return sum(part.records for partitions in self.topics.values() for part in partitions.values())


class NoBackupError(CommandError):
    """The directory is no backup, or none that this release can read."""

    def __init__(self, directory: Path, reason: str) -> None:
        super().__init__(f"{directory} is no backup: {reason}", exit_code=UNUSABLE_INPUT)


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Write the manifest at once and whole, after everything that it names is on the disk."""
    for name in manifest.files:
        _sync(directory / name)
    fresh = directory / f".{MANIFEST}"
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(manifest.model_dump_json(indent=2) + "\n")
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(directory / MANIFEST)
    _sync(directory)


def read_manifest(directory: Path) -> Manifest:
    """The manifest. Raises NoBackupError; says nothing yet about the files that it names."""
    path = directory / MANIFEST
    if not directory.is_dir():
        raise NoBackupError(directory, "there is no such directory")
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise NoBackupError(
            directory, f"{MANIFEST} cannot be read ({error.strerror}); a backup that was cut off has none"
        ) from error
    try:
        manifest = Manifest.model_validate_json(text)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in problem["loc"]) or "the text"
        raise NoBackupError(directory, f"{MANIFEST} is damaged: {place}: {problem['msg']}") from None
    if manifest.format != FORMAT:
        raise NoBackupError(
            directory,
            f"its format is {manifest.format}, this release reads {FORMAT}: restore it with {manifest.release}",
        )
    named = {entry.file for entry in manifest.databases.values()}
    named |= {part.file for partitions in manifest.topics.values() for part in partitions.values() if part.file}
    unknown = sorted(named - manifest.files.keys())
    if unknown:
        raise NoBackupError(directory, f"{MANIFEST} is damaged: it has no checksum of {', '.join(unknown)}")
    outside = [name for name in manifest.files if Path(name).is_absolute() or ".." in Path(name).parts]
    if outside:
        raise NoBackupError(directory, f"{MANIFEST} is damaged: {outside[0]} lies outside of the directory")
    return manifest


def describe_files(directory: Path) -> dict[str, BackedUpFile]:
    """Every file below the directory, by its relative path."""
    return {
        path.relative_to(directory).as_posix(): BackedUpFile(bytes=path.stat().st_size, sha256=_sha256(path))
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def damaged_files(directory: Path, manifest: Manifest) -> Iterator[str]:
    """What is wrong with the backup's files, each with the file's name; nothing when all are what was written.

    Reads every byte: sizes and checksums, and of the log's files that each record can be read and none is missing.
    """
    for name, expected in manifest.files.items():
        path = directory / name
        if not path.is_file():
            yield f"{name} is missing"
        elif (size := path.stat().st_size) != expected.bytes:
            yield f"{name} has {size} bytes, the manifest says {expected.bytes}"
        elif _sha256(path) != expected.sha256:
            yield f"{name} is not what was written: its SHA-256 differs from the manifest's"
    present = {path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()}
    for name in sorted(present - manifest.files.keys() - {MANIFEST}):
        yield f"{name} does not belong to the backup"


def broken_records(directory: Path, manifest: Manifest) -> Iterator[str]:
    """What is wrong with the contents of the log's files: every record is read."""
    for topic, partitions in manifest.topics.items():
        for number, partition in partitions.items():
            if partition.file is None:
                continue
            count, last = 0, partition.first_offset - 1
            try:
                for record in read_records(directory / partition.file):
                    if not last < record.offset < partition.end_offset:
                        yield f"{partition.file}: offset {record.offset} of {topic}/{number} follows {last}"
                        break
                    count, last = count + 1, record.offset
                else:
                    if count != partition.records:
                        yield f"{partition.file} has {count} records, the manifest says {partition.records}"
            except (RecordError, OSError, EOFError, zlib.error, gzip.BadGzipFile) as error:
                yield f"{partition.file} cannot be read after {count} records: {error}"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
