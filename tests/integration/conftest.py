"""Fixtures of the integration tests: real servers, started once a session, on loopback and free ports."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.backends import Backend, BackendUnavailable, choose, docker_broker


@pytest.fixture(scope="session")
def backend() -> Backend:
    """The backend this session runs on."""
    try:
        return choose()
    except BackendUnavailable as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(scope="session")
def broker(backend: Backend) -> Iterator[str]:
    """Bootstrap address of a real Kafka broker, shared by the session: give topics names of your own."""
    if backend.name == "docker":
        with docker_broker() as bootstrap:
            yield bootstrap
        return
    from obflow.embedded.kafka import EmbeddedKafka

    with EmbeddedKafka() as embedded:
        yield embedded.bootstrap
