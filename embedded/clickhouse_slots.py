"""Places for statements that run at once, and for some more that wait for one."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from embedded.clickhouse_sql import QueryRefused

TOO_MANY_QUERIES: Final = 202


class Slots:
    """So many statements run at once, so many more wait; the rest is turned away.

    Args:
        name: Whose they are, as messages and threads call them.
        running: How many run at once, each on a thread of its own.
        waiting: How many more may wait.
    """

    def __init__(self, name: str, running: int, waiting: int) -> None:
        self.threads = ThreadPoolExecutor(running, thread_name_prefix=name)
        self.waiting = 0
        self._name, self._running, self._most_waiting = name, running, waiting
        self._free = asyncio.Semaphore(running)

    async def take(self, timeout_s: float) -> None:
        """Take a place, or wait for one.

        Args:
            timeout_s: The longest wait.

        Raises:
            QueryRefused: Too many wait already, or none came free in time.
        """
        if self._free.locked() and self.waiting >= self._most_waiting:
            raise self._refusal(f"{self._running} run and {self.waiting} wait")
        self.waiting += 1
        try:
            await asyncio.wait_for(self._free.acquire(), timeout_s)
        except TimeoutError:
            raise self._refusal(f"none of {self._running} ended in {timeout_s:g} s") from None
        finally:
            self.waiting -= 1

    def give_back(self) -> None:
        """Free a place."""
        self._free.release()

    def close(self) -> None:
        """Let the threads end once what they run has ended."""
        self.threads.shutdown(wait=False)

    def _refusal(self, why: str) -> QueryRefused:
        return QueryRefused(
            TOO_MANY_QUERIES,
            f"Too many simultaneous queries of {self._name}: {why} (TOO_MANY_SIMULTANEOUS_QUERIES)",
        )
