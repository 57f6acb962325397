"""Embedded servers for tests, given as long to start as this machine needs now."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

from tests.support.patience import patient

START_S = 60.0


class Server(Protocol):
    """What an embedded broker and an embedded engine have in common."""

    def start(self, timeout_s: float) -> object:
        """Start it and wait until it serves, seconds at most."""

    def stop(self) -> None:
        """Stop it; what is temporary is removed."""


Embedded = TypeVar("Embedded", bound=Server)


@contextmanager
def started(server: Embedded) -> Iterator[Embedded]:
    """Run a server for a block, and stop it after that."""
    try:
        server.start(patient(START_S))
        yield server
    finally:
        server.stop()
