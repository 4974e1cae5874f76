"""Is a Kafka broker up? One metadata request over a plain socket, so that no client library is needed for it."""

import socket
import struct

from opora_embedded.ports import HOST

_METADATA, _VERSION = 3, 4
_CORRELATION_ID = 1
_TIMEOUT_SECONDS = 2.0


def live_cluster_id(port: int) -> str | None:
    """Id of the cluster that answers on the port with at least one live broker; None when nobody does."""
    try:
        with socket.create_connection((HOST, port), timeout=_TIMEOUT_SECONDS) as connection:
            # Header: api, version, correlation, client id; body: no topics wanted, none created.
            client = b"opora-probe"
            header = struct.pack(">hhih", _METADATA, _VERSION, _CORRELATION_ID, len(client)) + client
            request = header + struct.pack(">i?", 0, False)  # noqa: FBT003 - a field of the wire format
            connection.sendall(struct.pack(">i", len(request)) + request)
            with connection.makefile("rb") as stream:
                size = struct.unpack(">i", stream.read(4))[0]
                return _cluster_id(stream.read(size))
    except (OSError, struct.error, UnicodeDecodeError):
        return None


def _cluster_id(answer: bytes) -> str | None:
    correlation_id, _throttle, brokers = struct.unpack_from(">iii", answer)
    if correlation_id != _CORRELATION_ID or brokers < 1:
        return None
    position = 12
    for _ in range(brokers):
        position += 4  # node id
        position += 2 + struct.unpack_from(">h", answer, position)[0]  # host
        position += 4  # port
        position += 2 + max(0, struct.unpack_from(">h", answer, position)[0])  # rack, nullable
    length = struct.unpack_from(">h", answer, position)[0]
    return answer[position + 2 : position + 2 + length].decode()
