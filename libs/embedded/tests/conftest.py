"""What the tests of the embedded servers share: real processes, watched from outside."""

import subprocess
import sys
from collections.abc import Callable, Iterator

import psutil
import pytest

Owner = tuple["subprocess.Popen[str]", list[str]]


@pytest.fixture
def owner() -> Iterator[Callable[[str], Owner]]:
    """Runs Python code as a separate owner process; gives the process and the words of its first line of output."""
    processes: list[subprocess.Popen[str]] = []

    def run(code: str) -> Owner:
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        processes.append(process)
        assert process.stdout is not None
        return process, process.stdout.readline().split()

    yield run
    for process in processes:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


@pytest.fixture
def family() -> Callable[[int], list[psutil.Process]]:
    """All processes of a running server: itself, its guard, its descendants."""

    def find(pid: int) -> list[psutil.Process]:
        server = psutil.Process(pid)
        guard = server.parent()
        assert guard is not None
        return [guard, server, *server.children(recursive=True)]

    return find
