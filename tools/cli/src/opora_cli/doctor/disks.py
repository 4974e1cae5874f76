"""How much room is left: for embedded servers on this host's disk, for other brokers by asking them.

aiokafka has no request for the latter; here is Kafka's DescribeLogDirs in the version that tells the volume's size.
"""

import shutil
from pathlib import Path
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import CompactArray, CompactString, Int16, Int32, Int64, Schema, TaggedFields

from opora_cli.doctor.diagnosis import Diagnosis, judge_disk


class _LogDirsResponse(Response):  # type: ignore[misc]
    API_KEY = 35
    API_VERSION = 4
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        (
            "results",
            CompactArray(
                ("error_code", Int16),
                ("log_dir", CompactString("utf-8")),
                (
                    "topics",
                    CompactArray(
                        ("name", CompactString("utf-8")),
                        ("partitions", CompactArray(Int64)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("total_bytes", Int64),
                ("usable_bytes", Int64),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _LogDirsStruct(RequestStruct):  # type: ignore[misc]
    API_KEY = 35
    API_VERSION = 4
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _LogDirsResponse
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(("name", CompactString("utf-8")), ("partitions", CompactArray(Int32)), ("tags", TaggedFields)),
        ),
        ("tags", TaggedFields),
    )


class _LogDirsRequest(Request[_LogDirsStruct]):  # type: ignore[misc]
    API_KEY = 35

    def build(self, request_struct_class: type[_LogDirsStruct]) -> _LogDirsStruct:
        """Ask for directories alone, no topic's sizes."""
        return request_struct_class([], {})


def examine_own_disk(data_directory: Path) -> list[Diagnosis]:
    """The disk that holds the data of embedded servers."""
    usage = shutil.disk_usage(data_directory)
    return [judge_disk(str(data_directory), usage.free, usage.total)]


async def examine_brokers_disks(bootstrap: str) -> list[Diagnosis]:
    """The disks of every broker, as far as they say: brokers before Kafka 3.3 do not."""
    client = AIOKafkaClient(bootstrap_servers=bootstrap)
    try:
        await client.bootstrap()
        found: list[Diagnosis] = []
        for broker in sorted(client.cluster.brokers(), key=lambda one: one.nodeId):
            try:
                answer: Any = await client.send(broker.nodeId, _LogDirsRequest())
            except NotImplementedError:
                continue
            for _, directory, _, total_bytes, usable_bytes, _ in answer.results:
                if total_bytes > 0:
                    found.append(judge_disk(f"broker {broker.nodeId}, {directory}", usable_bytes, total_bytes))
        return found
    finally:
        await client.close()
