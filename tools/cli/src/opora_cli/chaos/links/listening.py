"""A TCP port of our own."""

import socket

from opora_embedded.ports import HOST, find_free_port


def listen(port: int | None) -> socket.socket:
    """A socket that listens on 127.0.0.1, at a free port if none is given. Raises OSError when the port is taken."""
    listener = socket.socket()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port or find_free_port()))
        listener.listen()
    except OSError:
        listener.close()
        raise
    return listener
