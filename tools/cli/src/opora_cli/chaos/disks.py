"""Small disks for the servers, so that they can be filled: file systems in memory, which only root can mount."""

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

MEGABYTE = 1024 * 1024
SIZES = {"kafka": 400 * MEGABYTE, "postgres": 900 * MEGABYTE}
"""Room for a run, and little more."""
_BALLAST = "ballast"


def can_mount() -> bool:
    """Whether this process may mount file systems at all."""
    return os.geteuid() == 0


@contextmanager
def small_disks(data_directory: Path, sizes: Mapping[str, int]) -> Iterator[None]:
    """Put a file system of that many bytes below each server's data directory while the block runs; it is empty again
    afterwards. Raises CalledProcessError when it cannot be mounted.
    """
    with ExitStack() as cleanup:
        for server, size in sizes.items():
            place = data_directory / server
            place.mkdir(parents=True, exist_ok=True)
            unmount(place)  # what a run that was killed has left
            options = f"size={size},mode=0755"
            subprocess.run(["mount", "-t", "tmpfs", "-o", options, "opora-chaos", str(place)], check=True)  # noqa: S607
            cleanup.callback(unmount, place)
        yield


def unmount(place: Path) -> None:
    """Let go of the file system at this place, if there is one."""
    if os.path.ismount(place):
        subprocess.run(["umount", "--lazy", str(place)], check=True)  # noqa: S607


def fill(place: Path) -> int:
    """Leave no byte free on the file system at this place; returns how many bytes it took."""
    written = 0
    with (place / _BALLAST).open("wb", buffering=0) as ballast:
        for block in (MEGABYTE, 4096, 1):
            with suppress(OSError):
                while True:
                    written += ballast.write(bytes(block))
    return written


def clear(place: Path) -> None:
    """Give the room back."""
    (place / _BALLAST).unlink(missing_ok=True)
