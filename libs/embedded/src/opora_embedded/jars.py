"""Kafka's jars: fetched from a Maven repository against a committed lock, verified, cached per user."""

import contextlib
import fcntl
import hashlib
import os
import shutil
import ssl
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from opora_embedded.errors import JarChecksumError, JarDownloadError

KAFKA_VERSION = "4.4.0"
_FETCHERS = 8
_ATTEMPTS = 3
_REQUEST_TIMEOUT_SECONDS = 60

Report = Callable[[str], None]
Fetch = Callable[["LockedJar", Path, str | None], Path]


@dataclass(frozen=True, slots=True)
class LockedJar:
    """One line of the lock: which artifact, and the only content that is accepted for it."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def coordinate(self) -> str:
        """The Maven coordinate `group:artifact:version`."""
        return f"{self.group}:{self.artifact}:{self.version}"

    @property
    def file_name(self) -> str:
        """Name in the cache; unique within the lock."""
        return f"{self.artifact}-{self.version}.jar"


def parse_lock(text: str) -> tuple[LockedJar, ...]:
    """Read a lock: `group:artifact:version sha256` a line, `#` starts a comment line."""
    jars = []
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        coordinate, sha256 = line.split()
        group, artifact, version = coordinate.split(":")
        jars.append(LockedJar(group, artifact, version, sha256))
    return tuple(jars)


def locked_jars() -> tuple[LockedJar, ...]:
    """The committed lock of this package."""
    return parse_lock((resources.files("opora_embedded") / "kafka-jars.lock").read_text())


def cache_directory() -> Path:
    """Where Kafka's jars are kept: `$OPORA_CACHE/kafka-4.4.0`, by default below `~/.cache/opora`."""
    base = os.environ.get("OPORA_CACHE")
    return (Path(base).expanduser() if base else Path.home() / ".cache" / "opora") / f"kafka-{KAFKA_VERSION}"


def prepare_jars(
    directory: Path | None = None,
    jars: tuple[LockedJar, ...] | None = None,
    report: Report | None = None,
    fetch: Fetch | None = None,
) -> tuple[Path, ...]:
    """Return the paths of all locked jars, each verified now; download what is missing or altered.

    Safe when several processes call it at once: one fills the cache, the others wait for it. A jar appears under its
    name only after it was verified, so an interrupted call leaves nothing half-written behind.
    Raises JarDownloadError or JarChecksumError for the first jar that fails.
    """
    directory = directory or cache_directory()
    jars = jars or locked_jars()
    report = report or (lambda _line: None)
    if _unverified(directory, jars):
        directory.mkdir(parents=True, exist_ok=True)
        with _filling(directory, report), tempfile.TemporaryDirectory(prefix=".fetching-", dir=directory) as staging:
            # Another process may have filled the cache while this one waited for the lock.
            _download(_unverified(directory, jars), directory, Path(staging), report, fetch or fetch_with_jgo)
    return tuple(directory / jar.file_name for jar in jars)


def fetch_with_jgo(jar: LockedJar, staging: Path, mirror: str | None) -> Path:
    """Download one jar, without its dependencies, into a private repository below `staging`. Needs no Java or Maven."""
    from jgo.maven import MavenContext

    remote_repositories = {"mirror": mirror.rstrip("/")} if mirror else None
    context = MavenContext(repo_cache=staging, remote_repos=remote_repositories, timeout=_REQUEST_TIMEOUT_SECONDS)
    return Path(context.project(jar.group, jar.artifact).at_version(jar.version).artifact().resolve())


def _unverified(directory: Path, jars: tuple[LockedJar, ...]) -> tuple[LockedJar, ...]:
    return tuple(jar for jar in jars if _sha256(directory / jar.file_name) != jar.sha256)


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return ""


@contextlib.contextmanager
def _filling(directory: Path, report: Report) -> Iterator[None]:
    with (directory / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report("another process is downloading Kafka's jars; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _download(missing: tuple[LockedJar, ...], directory: Path, staging: Path, report: Report, fetch: Fetch) -> None:
    if not missing:
        return
    _trust_the_configured_authorities()
    mirror = os.environ.get("OPORA_MAVEN_MIRROR") or None
    report(f"downloading {len(missing)} jars of Apache Kafka {KAFKA_VERSION} to {directory}")
    with ThreadPoolExecutor(_FETCHERS) as pool:
        waiting = [pool.submit(_download_one, jar, directory, staging, mirror, fetch) for jar in missing]
        try:
            for done, finished in enumerate(as_completed(waiting), start=1):
                path = finished.result()
                report(f"[{done}/{len(missing)}] {path.name} {path.stat().st_size / 1e6:.1f} MB, SHA-256 verified")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _download_one(jar: LockedJar, directory: Path, staging: Path, mirror: str | None, fetch: Fetch) -> Path:
    # A repository of its own for each attempt: a download that broke off must not be taken for the jar.
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            fetched = fetch(jar, Path(tempfile.mkdtemp(dir=staging)), mirror)
            break
        except Exception as error:
            if attempt == _ATTEMPTS:
                raise JarDownloadError(jar.coordinate, f"{type(error).__name__}: {error}", mirror) from error
            time.sleep(0.5 * attempt)
    actual = _sha256(fetched)
    if actual != jar.sha256:
        raise JarChecksumError(jar.coordinate, jar.sha256, actual, mirror)
    target = directory / jar.file_name
    shutil.move(fetched, staging / jar.file_name)
    (staging / jar.file_name).replace(target)
    return target


def _trust_the_configured_authorities() -> None:
    # jgo's HTTP client looks only at REQUESTS_CA_BUNDLE, else at a bundle of its own that knows no private authority.
    if os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE"):
        return
    candidates = (os.environ.get("SSL_CERT_FILE"), os.environ.get("PIP_CERT"), ssl.get_default_verify_paths().cafile)
    for bundle in candidates:
        if bundle and Path(bundle).is_file():
            os.environ["REQUESTS_CA_BUNDLE"] = bundle
            return
