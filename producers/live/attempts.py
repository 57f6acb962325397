"""What came of a connection's tries to stand: whether it is lost, how often it came back, how many came to nothing."""

from __future__ import annotations

from collections.abc import Callable

from producers.live.quality import Reopenings
from producers.live.tries import HostTries

VAIN_TOLD = 3
"""Tries in a row that come to nothing, after which feeds say why."""


class Attempts:
    """Counts the tries of one connection, and says why many in a row came to nothing.

    Args:
        tries: Who may try its host.
        tell: Is told why nothing stands for some time, and with an empty reason that something does again.

    Attributes:
        has_stood: Whether the try that is under way came to a socket that stands.
        reopenings: What came of tries to have it back after it was lost.
    """

    def __init__(self, tries: HostTries, tell: Callable[[str], None]) -> None:
        self.has_stood = False
        self.reopenings = Reopenings()
        self._tries = tries
        self._tell = tell
        self._vain = 0
        self._is_lost = False

    async def begin(self) -> None:
        """Wait for its turn to try."""
        await self._tries.turn()
        self.has_stood = False

    def note_stands(self) -> None:
        """Note that a socket of it stands: the first one, one that replaces a lost one, or a successor."""
        self.has_stood = True
        self._tries.note_stands()
        if self._vain >= VAIN_TOLD:
            self._tell("")
        self._vain = 0
        if self._is_lost:
            self.reopenings = self.reopenings._replace(stood=self.reopenings.stood + 1)
        self._is_lost = False

    def note_lost(self, why: str) -> None:
        """Note that it has no socket: what it had is lost, or it was to have one again and has none."""
        if self._is_lost:
            self.reopenings = self.reopenings._replace(failed=self.reopenings.failed + 1)
        self._is_lost = True
        self._vain += not self.has_stood
        if not self.has_stood and self._vain == VAIN_TOLD:
            self._tell(why)

    def note_failed(self) -> None:
        """Note that its host did not let it stand: others may try it now."""
        self._tries.note_failed()
