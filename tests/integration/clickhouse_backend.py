"""Where integration tests get ClickHouse from: the embedded engine, or the published image."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.error import URLError
from urllib.request import urlopen

from pydantic import SecretStr

from obflow.settings import ClickHouseSettings
from tests.integration.backends import START_S, Backend, BackendUnavailable, free_port
from tests.support.patience import patient

PASSWORD = "integration"  # noqa: S105 - of a container that lives as long as the tests


@contextmanager
def clickhouse_of(backend: Backend) -> Iterator[ClickHouseSettings]:
    """A ClickHouse of this backend; yields the settings of its `default` database."""
    if backend.name == "docker":
        with _docker_clickhouse() as settings:
            yield settings
        return
    from embedded.clickhouse import EmbeddedClickHouse

    with EmbeddedClickHouse() as embedded:
        # Named, though commands find it by the port: some tests reach the engine by a detour, on a port of their own.
        password = SecretStr(embedded.tokens.writer)
        yield ClickHouseSettings(host=embedded.host, port=embedded.port, password=password, database="default")


@contextmanager
def _docker_clickhouse() -> Iterator[ClickHouseSettings]:
    image = os.environ.get("CLICKHOUSE_IMAGE", "clickhouse/clickhouse-server:26.8")
    port = free_port()
    flags = ["--publish", f"127.0.0.1:{port}:8123", "--env", f"CLICKHOUSE_PASSWORD={PASSWORD}"]
    started = subprocess.run(
        ["docker", "run", "--detach", *flags, image], capture_output=True, text=True, timeout=patient(600)
    )
    if started.returncode:
        raise BackendUnavailable(f"docker cannot run {image}: {started.stderr.strip()}")
    container = started.stdout.strip()
    try:
        _wait_for_ping(port)
        yield ClickHouseSettings(port=port, password=SecretStr(PASSWORD), database="default")
    finally:
        subprocess.run(["docker", "rm", "--force", "--volumes", container], capture_output=True, timeout=patient(60))


def _wait_for_ping(port: int) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        try:
            with urlopen(f"http://127.0.0.1:{port}/ping", timeout=patient(2)):
                return
        except (URLError, OSError):
            time.sleep(0.2)
    raise BackendUnavailable(f"ClickHouse did not answer on port {port} within {START_S} s")
