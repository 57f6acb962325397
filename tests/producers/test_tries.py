"""A host that is away is tried by one connection at a time, and by all of them once it is there."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from producers.live.tries import FOLLOW_S, LONGEST_WAIT_S, HostTries


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop whose time passes at once where nothing but time is waited for."""

    _now_s = 0.0

    def time(self) -> float:
        return self._now_s

    def _run_once(self) -> None:
        inside: Any = self
        if inside._scheduled and not inside._ready:
            self._now_s = max(self._now_s, inside._scheduled[0]._when)
        asyncio.SelectorEventLoop._run_once(inside)  # type: ignore[attr-defined]


class Host:
    """A host that is away for so long, and connections that were lost with it."""

    def __init__(self, away_s: float, connections: int) -> None:
        self.tries = HostTries()
        self.tried: list[tuple[float, int]] = []
        self.stood_s: dict[int, float] = {}
        self._away_s, self._connections = away_s, connections

    async def back(self) -> Host:
        async with asyncio.TaskGroup() as group:
            for number in range(self._connections):
                group.create_task(self._keep(number))
        return self

    async def _keep(self, number: int) -> None:
        loop = asyncio.get_running_loop()
        while number not in self.stood_s:
            await self.tries.turn()
            self.tried.append((loop.time(), number))
            if loop.time() < self._away_s:
                self.tries.note_failed()
            else:
                self.tries.note_stands()
                self.stood_s[number] = loop.time()


def after(away_s: float, connections: int) -> Host:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(Host(away_s, connections).back())


@pytest.mark.parametrize("connections", [1, 4, 30])
def test_a_host_that_is_away_is_tried_by_one_connection_a_step(connections: int) -> None:
    host = after(300.0, connections)
    alone = [number for tried_s, number in host.tried if 0.0 < tried_s < 300.0]
    assert 200 <= len(alone) <= 450, "one a second on average, however many connections there are"
    assert host.tries.made == len(alone) + 1, "the first that stands had its turn, the others follow"
    assert max(Counter(alone).values()) - min(Counter(alone).values()) <= 1, "by each in its turn"


@pytest.mark.parametrize("away_s", [0.1, 1.0, 7.0, 60.0])
def test_all_connections_stand_within_a_wait_of_the_hosts_return(away_s: float) -> None:
    for _ in range(20):
        host = after(away_s, 12)
        assert len(host.stood_s) == 12
        assert max(host.stood_s.values()) <= away_s + LONGEST_WAIT_S + FOLLOW_S


def test_a_connection_whose_own_path_is_refused_keeps_no_other_back() -> None:
    async def beside() -> float:
        tries, loop = HostTries(), asyncio.get_running_loop()

        async def refused() -> None:
            while True:
                await tries.turn()
                tries.note_failed()

        group = [asyncio.ensure_future(refused()) for _ in range(3)]
        await asyncio.sleep(20.0)
        lost_s = loop.time()
        await tries.turn()
        for task in group:
            task.cancel()
        return loop.time() - lost_s

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        assert runner.run(beside()) <= 4 * LONGEST_WAIT_S
