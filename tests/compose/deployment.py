"""One deployment of docker-compose.yml, apart from every other: its own project, ports, reader and image tag."""

from __future__ import annotations

import json
import os
import resource
import secrets
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from obflow import kafka, kafka_logs
from obflow.settings import Settings
from schemas.topics import L2
from tests.compose.engine import docker, images, inspect
from tests.support.patience import patient

ROOT = Path(__file__).parents[2]
PARTITIONS = 24
OPEN_FILES = 262_144
POLL_S = 0.5
COMMAND_S = 120.0
PASSED_ON = ("PATH", "HOME", "DOCKER_", "BUILDX_", "BUILDKIT_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT")
"""What docker itself needs; nothing of a developer's own deployment, neither variables nor .env, gets in here."""


class Deployment:
    """Builds, starts, breaks and removes one deployment, and asks it from outside."""

    def __init__(self) -> None:
        self.project = f"obflow-test-{secrets.token_hex(4)}"
        self.image = f"obflow:{self.project.removeprefix('obflow-')}"
        self.reader_password = secrets.token_urlsafe(12)
        self.kafka_port, self.clickhouse_port, self.prometheus_port = _free_ports(3)
        self._network = ""
        self._files: tuple[str, ...] = ("-f", "docker-compose.yml", "-f", "tests/compose/load.yml")
        self._environment = {
            **{name: value for name, value in os.environ.items() if name.upper().startswith(PASSED_ON)},
            **images(),
            "COMPOSE_PROJECT_NAME": self.project,
            "OBFLOW_IMAGE": self.image,
            "KAFKA_PORT": str(self.kafka_port),
            "CLICKHOUSE_PORT": str(self.clickhouse_port),
            "PROMETHEUS_PORT": str(self.prometheus_port),
            "CLICKHOUSE_READONLY_PASSWORD": self.reader_password,
            "CLICKHOUSE_NOFILE": os.environ.get("CLICKHOUSE_NOFILE", str(_allowed_open_files())),
        }
        self.settings = Settings.load({"kafka.bootstrap_servers": f"127.0.0.1:{self.kafka_port}"})

    # -- what is done to it

    def compose(self, *words: str, timeout_s: float = COMMAND_S) -> str:
        """Run a docker compose command that has to succeed; its standard output."""
        done = self.try_compose(*words, timeout_s=timeout_s)
        assert done.returncode == 0, f"compose {' '.join(words)}: exit {done.returncode}\n{done.stderr[-3000:]}"
        return done.stdout

    def try_compose(self, *words: str, timeout_s: float = COMMAND_S) -> subprocess.CompletedProcess[str]:
        """Run a docker compose command."""
        return subprocess.run(
            ["docker", "compose", *self._files, "--env-file", os.devnull, *words],
            cwd=ROOT,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=patient(timeout_s),
        )

    def remove(self) -> None:
        """Take down whatever is there, data and image too."""
        self.try_compose("--profile", "*", "down", "-v", "--remove-orphans", "--timeout", "10")
        if self._network:  # the image and the servers are another's
            held = docker("network", "inspect", "-f", "{{range .Containers}}{{.Name}} {{end}}", self._network).split()
            for container in held:
                docker("network", "disconnect", "-f", self._network, container)
            docker("network", "rm", self._network)
            return
        subprocess.run(["docker", "image", "rm", "-f", self.image], capture_output=True, timeout=COMMAND_S)

    def beside(self, folder: Path, password: str, **environment: str) -> Deployment:
        """Another deployment, on this one's broker and database, which it reaches as `kafka` and `clickhouse`."""
        other = Deployment()
        network = other._network = f"{other.project}-servers"
        docker("network", "create", network)
        for service in ("kafka", "clickhouse"):
            docker("network", "connect", "--alias", service, network, self.containers(service)[0])
        secret, own_network = folder / "password", folder / "network.yml"
        secret.write_text(password)
        own_network.write_text(f"networks: {{default: {{external: true, name: {network}}}}}\n")
        other._files = (*other._files, "-f", str(own_network))
        other._environment |= {"OBFLOW_IMAGE": self.image, "CLICKHOUSE_PASSWORD_FILE": str(secret), **environment}
        return other

    def logs(self, lines: int) -> str:
        """The end of what each service has said, for a failure's report."""
        states = self.try_compose("ps", "-a", "--format", "{{.Name}}  {{.Status}}").stdout
        return f"{states}\n{self.try_compose('logs', '--no-color', '--tail', str(lines)).stdout}"

    # -- what it is made of

    def containers(self, service: str) -> list[str]:
        """Ids of a service's running containers."""
        return self.compose("ps", "-q", service).split()

    def everything(self) -> dict[str, list[str]]:
        """What the engine holds of this project: containers, volumes (the unnamed ones as well), networks."""
        label = f"label=com.docker.compose.project={self.project}"
        held = docker("ps", "-aq", "--filter", label).split()
        mounted = [
            mount["Name"]
            for container in held
            for mount in (inspect("container", container) or {"Mounts": []})["Mounts"]
            if mount["Type"] == "volume"
        ]
        labelled = docker("volume", "ls", "-q", "--filter", label).split()
        networks = docker("network", "ls", "-q", "--filter", label).split()
        return {"container": held, "volume": sorted({*mounted, *labelled}), "network": networks}

    # -- what it says, from outside

    def query(self, sql: str, user: str = "reader", password: str | None = None) -> str:
        """Ask ClickHouse over its port on loopback; without a password with the reader's.

        Raises:
            HTTPError: It refuses.
            OSError: It does not answer.
        """
        key = self.reader_password if password is None else password
        headers = {"X-ClickHouse-User": user, "X-ClickHouse-Key": key, "X-ClickHouse-Database": "obflow"}
        request = Request(f"http://127.0.0.1:{self.clickhouse_port}/", sql.encode(), headers)
        with urlopen(request, timeout=20) as answer:  # noqa: S310 (http, written two lines above)
            return str(answer.read().decode()).strip()

    def refusal(self, sql: str, user: str = "reader", password: str | None = None) -> str:
        """What ClickHouse says when it refuses; empty where it does not."""
        try:
            self.query(sql, user, password)
        except HTTPError as error:
            return error.read().decode()
        return ""

    def rows(self, table: str) -> int:
        """Rows of a table, as the reading user sees them."""
        return int(self.query(f"SELECT count() FROM {table}"))  # noqa: S608 (a name of ours)

    def instruments_since(self, since_s: float) -> int:
        """How many instruments have a factor event received after a moment."""
        since = f"fromUnixTimestamp64Milli({int(since_s * 1000)})"
        return int(self.query(f"SELECT uniqExact(symbol) FROM factors WHERE received_at > {since}"))  # noqa: S608 (ours)

    def obflow_json(self, *words: str, service: str = "sink", timeout_s: float = COMMAND_S) -> tuple[int, Any]:
        """Run an obflow command in a running container of a service; its exit code and the object it printed."""
        done = self.try_compose("exec", "-T", service, "obflow", *words, "--json", timeout_s=timeout_s)
        assert done.stdout.strip(), f"obflow {' '.join(words)}: exit {done.returncode}\n{done.stderr[-3000:]}"
        return done.returncode, json.loads(done.stdout.splitlines()[-1])

    def scraped(self) -> dict[str, str]:
        """How Prometheus finds its targets, by job: up, down or unknown."""
        with urlopen(f"http://127.0.0.1:{self.prometheus_port}/api/v1/targets", timeout=20) as answer:
            targets = json.load(answer)["data"]["activeTargets"]
        return {target["labels"]["job"]: target["health"] for target in targets}

    def owners(self, group: str = "", topic: str = L2.name) -> dict[str, set[int]]:
        """Partitions of a topic by the address of the member that owns them: the described consumer group.

        Args:
            group: Which; that of the processors where none is named.
            topic: Which.
        """
        group = group or self.settings.processor.app_id
        answer = kafka.ask(
            self.settings, lambda client, left: client.describe_consumer_groups([group], request_timeout=left)
        )
        owned = {}
        for member in answer[group].members:
            parts = member.assignment.topic_partitions if member.assignment else []
            owned[member.host.lstrip("/")] = {part.partition for part in parts if part.topic == topic}
        return owned

    def container_at(self, service: str, address: str) -> str:
        """The container of a service that has an address."""
        (found,) = [one for one in self.containers(service) if address in addresses(one)]
        return found

    def groups(self) -> list[str]:
        """Names of the consumer groups that the broker knows."""
        client = kafka.admin(self.settings)  # held until the answer is here
        listed = client.list_consumer_groups(request_timeout=COMMAND_S).result()
        return [one.group_id for one in listed.valid]

    def ends(self, *topics: str) -> dict[tuple[str, int], int]:
        """Where the logs end, by topic and partition."""
        return kafka_logs.end_offsets(self.settings, topics)

    def lag(self, group: str, *topics: str) -> int:
        """Records of the topics that a consumer group has not committed."""
        done = kafka_logs.committed_offsets(self.settings, group, topics)
        return sum(end - done.get(part, 0) for part, end in self.ends(*topics).items())


def addresses(container: str) -> set[str]:
    """Addresses of a container in its networks."""
    networks = (inspect("container", container) or {})["NetworkSettings"]["Networks"]
    return {network["IPAddress"] for network in networks.values()}


def wait_until(what: str, ready: Callable[[], bool], timeout_s: float) -> None:
    """Ask again until something holds; an answer that does not come counts as no."""
    deadline = time.monotonic() + patient(timeout_s)
    last: Exception | None = None
    while True:
        try:
            if ready():
                return
            last = None
        except Exception as error:  # what is being restarted refuses, times out or cuts off: all of it means "not yet"
            last = error
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {what}{f' (last: {last})' if last else ''}"
        time.sleep(POLL_S)


@contextmanager
def step(what: str) -> Iterator[None]:
    """Print how long something took."""
    begun = time.monotonic()
    yield
    print(f"==> {what}: {time.monotonic() - begun:.1f} s", flush=True)  # noqa: T201 (what this test is run for)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(item.getsockname()[1]) for item in sockets]
    for item in sockets:
        item.close()
    return ports


def _allowed_open_files() -> int:
    """What the database asks for, or what this machine allows where that is less."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
