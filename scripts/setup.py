"""Set-up of a checkout: `.venv` with the locked packages and all members, and Kafka's jars.

Needs Python >= 3.11 and nothing else; brings its own uv into `.venv`. A second run changes nothing and ends at once;
an interrupted run, a venv of another Python or a changed lock is repaired. Two runs at the same time wait for each
other. pip's settings (index, proxy, certificates) hold for uv too.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

LOWEST_PYTHON = (3, 11)
ROOT = Path(__file__).resolve().parent.parent
MEMBERS = ("libs/contracts", "libs/chassis", "libs/embedded", "tools/cli")
SERVICES = "services"
LOCKS = ("requirements.lock", "scripts/bootstrap.lock")
STEPS = 5
FROM_SOURCE = ("dkimpy",)
"""Packages that are released without wheels; every other is installed from one."""


class SetupError(Exception):
    """Set-up cannot go on; the message tells the reader what to do."""


# --- decisions, without side effects ---------------------------------------------------------------------------------


def version_problem(version: tuple[int, int], executable: str) -> str | None:
    """What to tell the user of a Python that is too old; None when it is new enough."""
    if version >= LOWEST_PYTHON:
        return None
    return (
        "Opora needs Python {}.{} or newer, but {} is {}.{}.\n  name a newer one: make setup PYTHON=/path/to/python3.11"
    ).format(*LOWEST_PYTHON, executable, *version)


def digest(root: Path, python: str) -> str:
    """Changes with whatever the installed environment depends on: locks, members, this script, Python, the place."""
    content = hashlib.sha256(f"{python}\n{root}\n".encode())
    for path in sorted([*member_files(root), *(root / lock for lock in LOCKS), root / "scripts/setup.py"]):
        content.update(f"{path.relative_to(root)}\n".encode())
        content.update(path.read_bytes())
    return content.hexdigest()


def members(root: Path) -> list[Path]:
    """The folders of the workspace that are installed editable, in a fixed order."""
    services = sorted(path.parent for path in (root / SERVICES).glob("*/pyproject.toml"))
    return [*(root / member for member in MEMBERS), *services]


def member_files(root: Path) -> list[Path]:
    """The project files that decide what gets installed."""
    return [root / "pyproject.toml", *(member / "pyproject.toml" for member in members(root))]


def locked_names(lock: str) -> set[str]:
    """Names of the packages that the text of a lock pins."""
    return {
        normal_name(line.split("==")[0]) for line in lock.splitlines() if "==" in line and line[:1] not in (" ", "#")
    }


def normal_name(name: str) -> str:
    """A package's name as indexes compare it."""
    return name.strip().split("[")[0].lower().replace("_", "-").replace(".", "-")


def superfluous(installed: Iterable[str], locks: Iterable[str], own: Iterable[str]) -> list[str]:
    """Which installed packages no lock names any more; never our own members, nor what came with the venv."""
    kept = {"pip", "setuptools", "wheel", *map(normal_name, own)}
    for lock in locks:
        kept |= locked_names(lock)
    return sorted({normal_name(name) for name in installed} - kept)


def uv_settings(pip_settings: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """The environment variables that make uv use the index, proxy and certificates that pip is configured with.

    What the user has set for uv itself stands.
    """
    found: dict[str, str] = {}
    for setting, variables in (
        ("index-url", ("UV_DEFAULT_INDEX",)),
        ("extra-index-url", ("UV_INDEX",)),
        ("cert", ("SSL_CERT_FILE",)),
        ("proxy", ("HTTPS_PROXY", "HTTP_PROXY")),
    ):
        value = pip_settings.get(setting)
        for variable in variables:
            if value and not environment.get(variable):
                found[variable] = " ".join(value.split())
    return found


def parse_pip_settings(listing: str) -> dict[str, str]:
    """Read `pip config list`; a variable of the environment wins over a file, as in pip."""
    settings: dict[str, str] = {}
    from_environment: dict[str, str] = {}
    for line in listing.splitlines():
        name, separator, value = line.partition("=")
        section, _, key = name.rpartition(".")
        if not separator or section not in ("global", "install", ":env:"):
            continue
        (from_environment if section == ":env:" else settings)[key] = value.strip("'\"").replace("\\n", " ")
    return {**settings, **from_environment}


# --- steps -----------------------------------------------------------------------------------------------------------


class Environment:
    """The `.venv` of one checkout. Used while the set-up lock is held."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.directory = root / ".venv"
        self.python = self.directory / "bin" / "python"
        self.stamp = self.directory / "opora-setup.json"

    def is_ready(self) -> bool:
        """Whether the last set-up ended well and nothing that it depends on has changed since."""
        try:
            stamp = json.loads(self.stamp.read_text())
        except (OSError, ValueError):
            return False
        return (
            stamp.get("digest") == digest(self.root, python_identity())
            and self.python.exists()
            and (self.directory / "bin" / "opora").exists()
            and all(Path(jar).exists() for jar in stamp["jars"])
        )

    def belongs_to_this_python(self) -> bool:
        """Whether a finished set-up by this same Python made the venv, in this same place."""
        try:
            stamp = json.loads(self.stamp.read_text())
        except (OSError, ValueError):
            return False
        return bool(stamp.get("python") == python_identity() and stamp.get("root") == str(self.root))

    def create(self) -> None:
        """Make the venv anew unless it is whole and ours."""
        if self.belongs_to_this_python() and self.python.exists():
            return
        try:
            import ensurepip  # noqa: F401 - Debian packages it separately
            import venv
        except ImportError:
            raise SetupError(
                f"{sys.executable} cannot make virtual environments: its venv/ensurepip modules are missing.\n"
                f"  Debian, Ubuntu: apt-get install python{sys.version_info[0]}.{sys.version_info[1]}-venv\n"
                "  or name another Python: make setup PYTHON=/path/to/python3.11"
            ) from None
        venv.EnvBuilder(with_pip=True, clear=True, symlinks=True).create(self.directory)

    def install_uv(self) -> None:
        """Install the pinned uv and the build backends, each file checked against its hash."""
        lock = str(self.root / "scripts/bootstrap.lock")
        self.run([str(self.python), "-m", "pip", "install", "--disable-pip-version-check", "--quiet",
                  "--require-hashes", "--no-deps", "--only-binary=:all:", "-r", lock])  # fmt: skip

    def install_packages(self) -> None:
        """Bring the installed packages to what the locks say: nothing missing, nothing else, hashes checked."""
        settings = self.uv_environment()
        uv = [str(self.directory / "bin" / "uv"), "--quiet", "pip"]
        python = ["--python", str(self.python)]
        files = [word for lock in LOCKS for word in ("-r", str(self.root / lock))]
        # What comes as source is built by the backend that bootstrap.lock names, and fetches nothing more.
        source = [
            f"{option}={name}" for name in FROM_SOURCE for option in ("--no-binary", "--no-build-isolation-package")
        ]
        self.run([*uv, "install", *python, "--no-deps", "--require-hashes", "--only-binary=:all:", *source, *files],
                 settings)  # fmt: skip
        editable = [word for member in members(self.root) for word in ("-e", str(member))]
        self.run([*uv, "install", *python, "--no-deps", "--no-build-isolation", *editable], settings)
        listed = json.loads(self.output([*uv, "list", *python, "--format", "json"], settings))
        locks = [(self.root / lock).read_text() for lock in LOCKS]
        own = [package["name"] for package in listed if "editable_project_location" in package]
        unwanted = superfluous((package["name"] for package in listed), locks, own)
        if unwanted:
            self.run([*uv, "uninstall", *python, *unwanted], settings)

    def prepare_jars(self) -> None:
        """Download and verify Kafka's jars into the user's cache."""
        self.run([str(self.python), "-m", "opora_embedded", "prepare"], self.uv_environment())

    def finish(self) -> None:
        """Record that this set-up ended well."""
        if not (self.directory / "bin" / "opora").exists():
            raise SetupError("set-up ended without .venv/bin/opora; is tools/cli whole? Remove .venv and try again")
        listing = "import opora_embedded as e; print(*e.prepare_jars(), sep='\\n')"
        jars = self.output([str(self.python), "-c", listing]).splitlines()
        python = python_identity()
        stamp = {"digest": digest(self.root, python), "python": python, "root": str(self.root), "jars": jars}
        unfinished = self.stamp.with_suffix(".new")
        unfinished.write_text(json.dumps(stamp, indent=1))
        unfinished.replace(self.stamp)

    def unfinished(self) -> None:
        """From here on an interruption leaves no stamp, so that the next run starts the venv anew."""
        self.stamp.unlink(missing_ok=True)

    def uv_environment(self) -> dict[str, str]:
        """Settings for uv and for the jars, taken from pip's."""
        listing = self.output([str(self.python), "-m", "pip", "--disable-pip-version-check", "config", "list"])
        return {"VIRTUAL_ENV": str(self.directory), **uv_settings(parse_pip_settings(listing), os.environ)}

    def run(self, command: list[str], settings: Mapping[str, str] | None = None) -> None:
        """Run one command with its output shown. Raises SetupError when it fails."""
        done = subprocess.run(command, cwd=self.root, env=self._variables(settings), check=False)
        if done.returncode:
            raise SetupError(
                f"failed ({done.returncode}): {' '.join(command[:6])} …\n"
                "  a download failed? Behind a proxy set HTTPS_PROXY; a package index of your own is taken from pip's\n"
                "  settings (pip config set global.index-url URL); then run the same command again"
            )

    def output(self, command: list[str], settings: Mapping[str, str] | None = None) -> str:
        """Run one command and return what it prints. Raises SetupError when it fails."""
        done = subprocess.run(
            command, cwd=self.root, env=self._variables(settings), check=False, stdout=subprocess.PIPE, text=True
        )
        if done.returncode:
            raise SetupError(f"failed ({done.returncode}): {' '.join(command[:4])} …")
        return done.stdout

    def _variables(self, settings: Mapping[str, str] | None) -> dict[str, str]:
        variables = {**os.environ, **(settings or {})}
        # Settings that would let another Python's packages in.
        for name in ("PYTHONPATH", "PYTHONHOME"):
            variables.pop(name, None)
        return variables


def python_identity() -> str:
    """Which Python this is: its exact version and where its base installation lives."""
    return "{}.{}.{} {}".format(*sys.version_info[:3], Path(sys.base_prefix).resolve())


@contextlib.contextmanager
def only_one(root: Path) -> Iterator[None]:
    """Let one set-up of this checkout run at a time; a second one waits."""
    import fcntl

    (root / ".opora").mkdir(exist_ok=True)
    with (root / ".opora" / "setup.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            print("another set-up of this checkout is running; waiting for it", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def step(number: int, what: str) -> Iterator[None]:
    """Say what is being done, then how long it took."""
    print(f"[{number}/{STEPS}] {what}", flush=True)
    started = time.monotonic()
    yield
    print(f"      done in {time.monotonic() - started:.1f} s", flush=True)


def set_up(root: Path) -> None:
    """Bring the checkout at `root` into the state in which every command works."""
    environment = Environment(root)
    if environment.is_ready():
        return
    started = time.monotonic()
    with only_one(root):
        if environment.is_ready():
            return
        print(f"Setting up Opora in {environment.directory} (only what is missing or has changed)", flush=True)
        with step(1, f"virtual environment of Python {python_identity()}"):
            environment.create()
        environment.unfinished()
        with step(2, "uv and the build backend, at their locked versions"):
            environment.install_uv()
        with step(3, "the locked packages, hashes checked, and Opora's own members"):
            environment.install_packages()
        with step(4, "Apache Kafka's jars, verified against their lock"):
            environment.prepare_jars()
        with step(5, "check and stamp"):
            environment.finish()
    print(f"Ready in {time.monotonic() - started:.1f} s: .venv/bin/opora", flush=True)


def newer_python() -> str | None:
    """A Python on the PATH that is new enough, for a `python3` that is not."""
    names = (f"python3.{minor}" for minor in range(14, LOWEST_PYTHON[1] - 1, -1))
    return next((path for path in map(shutil.which, names) if path), None)


def main() -> int:
    """Returns the exit code: 0 everything is ready, 1 it is not, and the reason was printed."""
    problem = version_problem(sys.version_info[:2], sys.executable)
    if problem:
        newer = newer_python()
        if newer is None:
            print(problem, file=sys.stderr)
            return 1
        os.execv(newer, [newer, *sys.argv])  # noqa: S606 - the same script under a newer Python
    try:
        set_up(ROOT)
    except SetupError as error:
        print(f"set-up: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("set-up: interrupted; run it again, it goes on from a clean state", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
