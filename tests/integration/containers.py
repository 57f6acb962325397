"""Kafka and ClickHouse in containers, for tests that run with TEST_BACKEND=docker."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from docker.errors import DockerException
from pydantic import SecretStr
from testcontainers.core.container import DockerContainer

from obflow.settings import ClickHouseSettings
from tests.integration.backends import KAFKA_IMAGE, BackendUnavailable, free_port
from tests.support.patience import patient
from tests.support.waiting import eventually

START_S = 90
DEPLOYED = Path(__file__).parents[2] / "deploy" / "kafka"
OWN_CONFIGS = ("log4j2.yaml", "tools-log4j2.yaml")
"""As in docker-compose.yml: without them the start script writes to copies, and fails where those are read-only."""
CLICKHOUSE_IMAGE = os.environ.get("CLICKHOUSE_IMAGE", "clickhouse/clickhouse-server:26.8")
PASSWORD = "integration"  # noqa: S105 - of a container that lives as long as the tests
BROKER_OPTIONS = {
    "KAFKA_NODE_ID": "1",
    "KAFKA_PROCESS_ROLES": "broker,controller",
    "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@127.0.0.1:9093",
    "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
    # The broker calls itself for transactions, and the published port exists only outside of the container.
    "KAFKA_LISTENERS": "OUTSIDE://:9092,INSIDE://127.0.0.1:9094,CONTROLLER://127.0.0.1:9093",
    "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "OUTSIDE:PLAINTEXT,INSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "KAFKA_INTER_BROKER_LISTENER_NAME": "INSIDE",
    "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
    "KAFKA_LOG_MESSAGE_TIMESTAMP_TYPE": "LogAppendTime",
    "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
    "KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS": "1000",
    "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
    "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
    "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
}
"""As the embedded broker has them; those of testcontainers' own Kafka container suit another image."""


@contextmanager
def docker_broker() -> Iterator[str]:
    """A broker in a container, on a free port of loopback; yields its bootstrap address."""
    port = free_port()
    advertised = {"KAFKA_ADVERTISED_LISTENERS": f"OUTSIDE://127.0.0.1:{port},INSIDE://127.0.0.1:9094"}
    client = AdminClient({"bootstrap.servers": f"127.0.0.1:{port}", "log_level": 0})
    with _served(
        KAFKA_IMAGE,
        BROKER_OPTIONS | advertised,
        {"9092/tcp": ("127.0.0.1", port)},
        lambda: client.list_topics(timeout=patient(1)),
    ):
        yield f"127.0.0.1:{port}"


@contextmanager
def docker_clickhouse() -> Iterator[ClickHouseSettings]:
    """A ClickHouse in a container, on a free port of loopback; yields the settings of its `default` database."""
    port = free_port()
    ping = f"http://127.0.0.1:{port}/ping"
    ask = lambda: urlopen(ping, timeout=patient(2)).close()  # noqa: E731
    with _served(CLICKHOUSE_IMAGE, {"CLICKHOUSE_PASSWORD": PASSWORD}, {"8123/tcp": ("127.0.0.1", port)}, ask):
        yield ClickHouseSettings(port=port, password=SecretStr(PASSWORD), database="default")


@contextmanager
def _served(
    image: str, environment: dict[str, str], ports: dict[str, tuple[str, int]], ask: Callable[[], object]
) -> Iterator[None]:
    """Run a container as soon as it answers `ask`; where it does not, what it said is in the error."""
    container = DockerContainer(image, env=environment)
    for name in OWN_CONFIGS if image == KAFKA_IMAGE else ():
        container.with_volume_mapping(str(DEPLOYED / name), f"/mnt/shared/config/{name}", "ro")
    container.ports.update(ports)  # `with_bind_ports` takes no address, and a test's server is for loopback alone
    try:
        container.start()
    except DockerException as error:
        raise BackendUnavailable(f"docker cannot run {image}: {error}") from error
    try:
        if not eventually(lambda: _answers(ask), START_S):
            out, err = container.get_logs()
            said = (out + err).decode(errors="replace")[-2_000:]
            raise BackendUnavailable(f"{image} did not serve within {START_S} s:\n{said}")
        yield
    finally:
        container.stop()


def _answers(ask: Callable[[], object]) -> bool:
    try:
        ask()
    except (KafkaException, OSError):
        return False
    return True
