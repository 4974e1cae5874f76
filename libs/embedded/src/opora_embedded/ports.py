"""Free TCP ports on the loopback interface."""

import random
import socket

HOST = "127.0.0.1"
# Below the range from which systems take the local port of outgoing connections (32768 and up on Linux, 49152 on
# others): a client that keeps dialling a stopped server could otherwise be given the server's own port.
_LOWEST, _HIGHEST = 15_000, 30_000
_TRIES = 200
_given: set[int] = set()


def is_free(port: int) -> bool:
    """Whether a server could bind the port now; another process may still take it before the caller does."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def find_free_port() -> int:
    """A port that is free now and that this process was not given before: one is often found for a server that binds it
    later. Chosen at random so that two processes rarely choose the same.
    """
    for _ in range(_TRIES):
        port = random.randint(_LOWEST, _HIGHEST)  # noqa: S311 - spreads load, guards nothing
        if port not in _given and is_free(port):
            _given.add(port)
            return port
    raise OSError(f"no free TCP port on {HOST} between {_LOWEST} and {_HIGHEST}")
