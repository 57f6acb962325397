"""The demo's broker and engine: where they are started, and when they are given up."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count

import pytest

from embedded.demo.servers import WatchedServer
from embedded.process import Asked, nobody
from embedded.supervisor import RestartPolicy
from schemas.errors import FatalError, UsageError


@dataclass
class Played:
    """A server without a process. Its port is taken by another program where that is said."""

    port: int
    taken: bool = False
    runs: bool = False

    def start(self, timeout_s: float = 60.0, *, unless: Asked = nobody) -> None:
        if self.taken:
            raise UsageError(f"port {self.port} is in use")
        self.runs = True

    def is_running(self) -> bool:
        return self.runs

    def kill(self) -> None:
        self.runs = False

    def stop(self, grace_s: float = 5.0) -> None:
        self.runs = False


def watched(taken: tuple[int, ...], policy: RestartPolicy | None = None) -> tuple[WatchedServer[Played], list[int]]:
    made: list[int] = []

    def make(port: int) -> Played:
        made.append(port)
        return Played(port or 41_000, taken=port in taken)

    return WatchedServer("broker", make, 9092, lambda server: server.port, policy), made


def test_a_port_that_was_lost_before_it_was_bound_is_chosen_again() -> None:
    server, made = watched(taken=(9092,))
    server.start(nobody)
    assert (made, server.server.port, server.line) == ([9092, 0], 41_000, "runs on port 41000")
    server.close(0.0)


def test_a_server_that_finds_no_port_at_all_says_so() -> None:
    server, _ = watched(taken=(9092, 0))
    with pytest.raises(UsageError, match="in use"):
        server.start(nobody)
    server.close(0.0)


def test_one_that_ends_is_started_again_on_its_port_and_both_are_said() -> None:
    server, made = watched(taken=(9092,))
    server.start(nobody)
    server.server.runs = False
    assert server.tick() == "the broker ended and is started again on its folder and port"
    assert next(filter(None, (server.tick() for _ in count()))).startswith("the broker serves again after ")
    assert (made, server.line) == ([9092, 0, 41_000], "runs on port 41000; restarts: 1")
    server.close(0.0)


def test_one_that_ends_again_and_again_ends_the_demo_with_a_sentence() -> None:
    server, _ = watched(taken=(), policy=RestartPolicy(limit=0, window_s=60.0))
    server.start(nobody)
    server.server.runs = False
    with pytest.raises(FatalError, match="the broker ended 1 times within 60 s"):
        server.tick()
    server.close(0.0)
