"""Under which account PostgreSQL runs when we are root, which it refuses to be."""

import os
import pwd
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import structlog

from opora_embedded import guard
from opora_embedded.errors import NoUnprivilegedAccountError

_log = structlog.get_logger()
_CANDIDATES = ("postgres", "nobody")


@dataclass(frozen=True, slots=True)
class Account:
    """An account of the system. With `namespace`, it is only a mask: inside a user namespace of its own, it is root."""

    user_id: int
    group_id: int
    namespace: bool

    @property
    def owner(self) -> tuple[int, int]:
        """User and group that the server's files have, seen from outside."""
        return (0, 0) if self.namespace else (self.user_id, self.group_id)


def server_account() -> Account | None:
    """The account to run PostgreSQL under; None where we are not root and nothing needs to change.

    A user namespace is preferred, because then no file changes hands and a directory closed to others stays closed.
    Where the system does not allow one (most containers), or where OPORA_POSTGRES_ACCOUNT names an account, the server
    runs as that account. Raises NoUnprivilegedAccountError when there is none.
    """
    if os.geteuid() != 0:
        return None
    wanted = os.environ.get("OPORA_POSTGRES_ACCOUNT")
    entry = _first_account((wanted,) if wanted else _CANDIDATES)
    return Account(entry.pw_uid, entry.pw_gid, namespace=not wanted and _namespace_allowed(entry))


def hand_over(directory: Path, account: Account) -> None:
    """Make the account the owner of the directory and everything in it; cheap when it is already."""
    if not directory.exists() or (directory.stat().st_uid, directory.stat().st_gid) == account.owner:
        return
    for folder, _, files in os.walk(directory, topdown=False):
        for name in files:
            os.chown(Path(folder) / name, *account.owner, follow_symlinks=False)
        os.chown(folder, *account.owner)


def open_the_way(path: Path, account: Account) -> None:
    """Let the account pass through the folders above `path` (pass, not list); each change is logged.

    Without a user namespace there is no other way to use files below a folder such as root's home.
    """
    if account.namespace:
        return
    for folder in path.resolve().parents:
        mode = folder.stat().st_mode
        if not mode & stat.S_IXOTH and folder.stat().st_uid != account.user_id:
            folder.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)
            _log.warning("folder_opened_for_passage", folder=str(folder), user_id=account.user_id)


def _first_account(names: tuple[str, ...]) -> pwd.struct_passwd:
    for name in names:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return entry
    raise NoUnprivilegedAccountError(f"none of {', '.join(names)} exists on this system")


def _namespace_allowed(entry: pwd.struct_passwd) -> bool:
    if sys.platform != "linux":
        return False
    probe = subprocess.run(  # noqa: S603 - our own script
        [sys.executable, "-I", "-S", guard.__file__, "--probe", str(entry.pw_uid), str(entry.pw_gid)],
        check=False,
        capture_output=True,
    )
    return probe.returncode == 0
