"""Fixtures of the integration tests: real servers, started once a session, on loopback and free ports."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from obflow.settings import ClickHouseSettings
from tests.integration.backends import Backend, BackendUnavailable, choose
from tests.integration.clickhouse_backend import clickhouse_of
from tests.integration.made_tables import lent_database
from tests.support.servers import started


@pytest.fixture(scope="session")
def backend() -> Backend:
    """The backend this session runs on."""
    try:
        return choose()
    except BackendUnavailable as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(scope="session")
def own_servers(backend: Backend) -> None:
    """For tests that kill a server of their own: a backend that was asked for is never replaced by another."""
    if backend.name != "native":
        pytest.skip("kills a server of its own, which only the native backend has")


@pytest.fixture(scope="session")
def broker(backend: Backend) -> Iterator[str]:
    """Bootstrap address of a real Kafka broker, shared by the session: give topics names of your own."""
    if backend.name == "docker":
        from tests.integration.containers import docker_broker

        with docker_broker() as bootstrap:
            yield bootstrap
        return
    from embedded.kafka import EmbeddedKafka

    with started(EmbeddedKafka()) as embedded:
        yield embedded.bootstrap


@pytest.fixture(scope="session")
def clickhouse_server(backend: Backend) -> Iterator[ClickHouseSettings]:
    """Settings of a real ClickHouse, shared by the session, with its `default` database."""
    with clickhouse_of(backend) as settings:
        yield settings


@pytest.fixture
def clickhouse(clickhouse_server: ClickHouseSettings, request: pytest.FixtureRequest) -> Iterator[ClickHouseSettings]:
    """Settings with a database of the test's own, without a row; one marked `new_database` has no table either."""
    new = request.node.get_closest_marker("new_database") is not None
    with lent_database(clickhouse_server, new=new) as settings:
        yield settings
