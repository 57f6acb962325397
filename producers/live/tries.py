"""Tries of one host by all connections to it: while it is away one a step of the back-off, by each connection in turn.

As soon as one of them stands the others need not wait for their step: they follow at once, a moment apart.
"""

from __future__ import annotations

import asyncio
from typing import Final

from obflow.backoff import Backoff

LONGEST_WAIT_S: Final = 2.0
"""Between two tries: books are to be back within 3 s of a server, however long it was away. On average it is one a
second, which is what the strictest venue allows an address."""
FOLLOW_S: Final = 0.2
"""Over so long those that waited follow the first one that stands."""


class HostTries:
    """Who may try a host now. Shared by the connections to it.

    Attributes:
        made: Tries while it was away.
    """

    def __init__(self) -> None:
        self.made = 0
        self._backoff = Backoff(most_s=LONGEST_WAIT_S)
        self._follow = Backoff(first_s=FOLLOW_S, most_s=FOLLOW_S)
        self._turn = asyncio.Lock()
        self._is_here = asyncio.Event()
        self._is_here.set()
        self._due_s = 0.0

    @property
    def left_s(self) -> float:
        """Seconds until the next try is due; 0 where the host is there."""
        return 0.0 if self._is_here.is_set() else max(0.0, self._due_s - asyncio.get_running_loop().time())

    async def turn(self) -> None:
        """Wait until it is this connection's turn to try; at once where the host is there."""
        if self._is_here.is_set():
            return
        async with self._turn:
            if not self._is_here.is_set() and not await self._comes_back():
                self.made += 1
                self._due_s = asyncio.get_running_loop().time() + self._backoff.next_s()
                return
        await asyncio.sleep(self._follow.next_s())

    def note_stands(self) -> None:
        """Note that a connection stands: the host is there."""
        self._is_here.set()
        self._backoff.reset()

    def note_failed(self) -> None:
        """Note that a try came to nothing: where the host was there, it is away now."""
        if self._is_here.is_set():
            self._is_here.clear()
            self._due_s = asyncio.get_running_loop().time() + self._backoff.next_s()

    async def _comes_back(self) -> bool:
        """Wait until the next try is due; True where a connection stands before."""
        try:
            async with asyncio.timeout(self.left_s):
                return await self._is_here.wait()
        except TimeoutError:
            return False
