"""What waits between sockets and whoever handles it: bounded, in order, and nobody is passed over.

`asyncio.Queue` wakes who waits for room in turn, but whoever runs first then fills it again: under a socket that has
always more to say, another one, or a book that was fetched, would wait for ever. Here what waits is in line itself.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class WaitingLine(Generic[T]):
    """A line of at most so many; those who come then wait behind it, each with one.

    Args:
        most: So many wait without keeping anybody.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._line: deque[T] = deque()
        self._behind: deque[tuple[asyncio.Future[None], T]] = deque()
        self._come = asyncio.Event()

    async def put(self, one: T) -> None:
        """Put one in line, once it is its turn."""
        if len(self._line) < self._most:  # then nobody is behind
            self._line.append(one)
            self._come.set()
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._behind.append((turn, one))
        await turn

    async def get(self) -> T:
        """Take the first, once there is one. For one caller at a time."""
        while not self._line:
            self._come.clear()
            await self._come.wait()
        return self.take()

    @property
    def is_empty(self) -> bool:
        """Whether `take` would find nothing."""
        return not self._line

    def take(self) -> T:
        """Take the first, which is there; the first of those behind comes into line."""
        first = self._line.popleft()
        while self._behind and len(self._line) < self._most:
            turn, one = self._behind.popleft()
            if not turn.done():  # else it was given up
                turn.set_result(None)
                self._line.append(one)
        return first
