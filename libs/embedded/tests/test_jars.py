"""The lock and the cache of Kafka's jars. Nothing here touches the network."""

import hashlib
import threading
from pathlib import Path

import pytest

from opora_embedded import JarChecksumError, JarDownloadError, cache_directory, prepare_jars
from opora_embedded.jars import Fetch, LockedJar, fetch_with_jgo, locked_jars, parse_lock

CONTENT = b"the jar"
JAR = LockedJar("org.example", "thing", "1.2", hashlib.sha256(CONTENT).hexdigest())


def deliver(content: bytes, calls: list[str] | None = None) -> Fetch:
    def fetch(jar: LockedJar, staging: Path, mirror: str | None) -> Path:
        if calls is not None:
            calls.append(jar.coordinate)
        path = staging / "download.jar"
        path.write_bytes(content)
        return path

    return fetch


def test_the_committed_lock_names_every_jar_of_one_kafka_version_once() -> None:
    """The lock holds 45 jars with distinct file names, and every jar of Kafka's own has the same version."""
    jars = locked_jars()
    assert len(jars) == 45
    assert len({jar.file_name for jar in jars}) == 45
    assert {jar.version for jar in jars if jar.group == "org.apache.kafka"} == {"4.4.0"}
    assert all(len(jar.sha256) == 64 for jar in jars)


def test_a_lock_line_is_a_coordinate_and_a_digest() -> None:
    """Comments and empty lines of a lock are skipped, the rest is read as coordinate and SHA-256."""
    assert parse_lock("# head\n\norg.example:thing:1.2 abc\n") == (LockedJar("org.example", "thing", "1.2", "abc"),)


def test_a_jar_is_kept_once_it_is_verified(tmp_path: Path) -> None:
    """The second preparation finds the verified jar and downloads nothing."""
    calls: list[str] = []
    first = prepare_jars(tmp_path, (JAR,), fetch=deliver(CONTENT, calls))
    second = prepare_jars(tmp_path, (JAR,), fetch=deliver(CONTENT, calls))
    assert first == second == (tmp_path / "thing-1.2.jar",)
    assert first[0].read_bytes() == CONTENT
    assert calls == ["org.example:thing:1.2"]


def test_a_tampered_download_is_refused_by_its_coordinate(tmp_path: Path) -> None:
    """A jar with another content than the lock's is refused, named in the message, and not kept."""
    with pytest.raises(JarChecksumError, match=r"refused org\.example:thing:1\.2") as refused:
        prepare_jars(tmp_path, (JAR,), fetch=deliver(b"something else"))
    assert refused.value.actual_sha256 == hashlib.sha256(b"something else").hexdigest()
    assert not (tmp_path / "thing-1.2.jar").exists()


def test_a_jar_tampered_with_in_the_cache_is_never_used(tmp_path: Path) -> None:
    """An altered jar in the cache is replaced by a verified one; when that cannot be had, preparation fails."""
    (tmp_path / "thing-1.2.jar").write_bytes(b"altered")
    with pytest.raises(JarChecksumError):
        prepare_jars(tmp_path, (JAR,), fetch=deliver(b"altered"))
    prepare_jars(tmp_path, (JAR,), fetch=deliver(CONTENT))
    assert (tmp_path / "thing-1.2.jar").read_bytes() == CONTENT


def test_a_failed_download_says_which_jar_why_and_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message of a failed download names the coordinate, the cause, the proxy and the mirror setting."""
    monkeypatch.setenv("OPORA_MAVEN_MIRROR", "http://127.0.0.1:9/maven2/")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(JarDownloadError) as failed:
        prepare_jars(tmp_path, (JAR,), fetch=fetch_with_jgo)
    message = str(failed.value)
    assert "could not download org.example:thing:1.2 from the mirror http://127.0.0.1:9/maven2/" in message
    assert "Connection refused" in message
    assert "HTTPS_PROXY" in message
    assert "OPORA_MAVEN_MIRROR" in message


def test_two_preparations_at_once_download_each_jar_once(tmp_path: Path) -> None:
    """The second of two preparations waits for the first and uses what it fetched."""
    calls: list[str] = []
    lines: list[str] = []
    waiting = threading.Event()

    def report(line: str) -> None:
        lines.append(line)
        if "waiting" in line:
            waiting.set()

    def slow(jar: LockedJar, staging: Path, mirror: str | None) -> Path:
        second.start()
        assert waiting.wait(10)
        return deliver(CONTENT, calls)(jar, staging, mirror)

    second = threading.Thread(
        target=lambda: prepare_jars(tmp_path, (JAR,), report=report, fetch=deliver(CONTENT, calls))
    )
    prepare_jars(tmp_path, (JAR,), fetch=slow)
    second.join(10)
    assert calls == ["org.example:thing:1.2"]
    assert lines == ["another process is downloading Kafka's jars; waiting for it"]


def test_the_cache_can_be_moved(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """OPORA_CACHE names the folder below which the jars of each Kafka version have their own."""
    monkeypatch.setenv("OPORA_CACHE", str(tmp_path))
    assert cache_directory() == tmp_path / "kafka-4.4.0"
