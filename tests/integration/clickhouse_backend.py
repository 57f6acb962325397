"""Where integration tests get ClickHouse from: the embedded engine, or the published image."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import SecretStr

from obflow.settings import ClickHouseSettings
from tests.integration.backends import Backend
from tests.support.servers import started


@contextmanager
def clickhouse_of(backend: Backend) -> Iterator[ClickHouseSettings]:
    """A ClickHouse of this backend; yields the settings of its `default` database."""
    if backend.name == "docker":
        from tests.integration.containers import docker_clickhouse

        with docker_clickhouse() as settings:
            yield settings
        return
    from embedded.clickhouse import EmbeddedClickHouse

    with started(EmbeddedClickHouse()) as embedded:
        # Named, though commands find it by the port: some tests reach the engine by a detour, on a port of their own.
        password = SecretStr(embedded.tokens.writer)
        yield ClickHouseSettings(host=embedded.host, port=embedded.port, password=password, database="default")
