"""What the embedded broker is told: its runtime's options, its log and its properties."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from embedded.kafka_security import LISTENERS, BrokerSecurity

JVM_OPTIONS: Final = (
    "-Xms128m",
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",  # starts in half the time; the second compiler pays off only after minutes of load
    "-XX:+ExitOnOutOfMemoryError",
    "-Djava.awt.headless=true",
    "--sun-misc-unsafe-memory-access=allow",  # Kafka unmaps its index files through it; Java 25 would print a warning
    "--enable-native-access=ALL-UNNAMED",  # zstd, lz4, snappy
)

LOG4J: Final = """\
status = error
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{ISO8601} %p %m (%c{1})%n
rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
logger.started.name = kafka.server.KafkaRaftServer
logger.started.level = info
"""

# One node is its own quorum. Ports and folders are added at each start.
PROPERTIES: Final[Mapping[str, str]] = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": ",".join(
        ["CONTROLLER:PLAINTEXT", *map("{0}:{0}".format, ("PLAINTEXT", *LISTENERS))]
    ),
    # Topics are declared, never guessed from a typing error.
    "auto.create.topics.enable": "false",
    # Old recordings carry old times: by the broker's own clock, retention does not delete them as they arrive.
    "log.message.timestamp.type": "LogAppendTime",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    # A segment's two index files are allocated in full: 256 KiB suffice for a segment of 64 MiB (one entry of 8 or
    # 12 bytes for each 4 KiB), where the default of 10 MiB would be 20 MiB for each of a few hundred partitions.
    "log.segment.bytes": str(64 * 1024 * 1024),
    "log.index.size.max.bytes": str(256 * 1024),
    "log.retention.hours": "168",
    "log.segment.delete.delay.ms": "1000",
    # The default, 128 MiB, is a quarter of this broker's heap.
    "log.cleaner.dedupe.buffer.size": str(16 * 1024 * 1024),
    # A broker that was killed comes back only when its former self has timed out at the controller; both are one
    # process here, so that a pause stops them alike and a short time is safe.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    "num.network.threads": "2",
    "num.io.threads": "4",
    "background.threads": "2",
}


def write_log4j(data: Path) -> Path:
    """Write the configuration of the broker's log into its data folder.

    Returns:
        The file.
    """
    path = data / "log4j2.properties"
    path.write_text(LOG4J, "utf-8")
    return path


def write_properties(
    data: Path, plain: str, controller: str, secured: Mapping[str, str], security: BrokerSecurity | None
) -> Path:
    """Write the broker's properties into its data folder.

    Args:
        data: The folder.
        plain: `host:port` for clients.
        controller: The same for the quorum of one.
        secured: Further addresses for clients, by the name of their protocol.
        security: What those are secured with.

    Returns:
        The file.
    """
    offered = ",".join(f"{name}://{address}" for name, address in {"PLAINTEXT": plain, **secured}.items())
    properties = {
        **PROPERTIES,
        "controller.quorum.voters": f"1@{controller}",
        "listeners": f"{offered},CONTROLLER://{controller}",
        "advertised.listeners": offered,
        "log.dirs": str(data / "log"),
        **(security.properties() if security is not None else {}),
    }
    path = data / "server.properties"
    path.write_text("".join(f"{key}={value}\n" for key, value in properties.items()), "utf-8")
    return path
