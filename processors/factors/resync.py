"""When a reader whose book broke asks the producer for a snapshot.

Asked once, then after 1, 2, 4, 8, 16 s and every 30 s while the book is not LIVE. Not asked where the producer itself
published an `invalid`: it knows, and a snapshot follows. A crossed book waits a second for that `invalid` first. A
reader that sees only records of a lower epoch for ten seconds names its own, so that the producer lifts its epoch above
it.

Times are seconds of a monotonic clock, given by the caller.
"""

from __future__ import annotations

from typing import NamedTuple

from processors.factors.engine import Break
from schemas.messages import InstrumentKey, Reason, ResyncRequest

INVALID_GRACE_S = 1.0
STALE_EPOCH_S = 10.0
RETRIES_S = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""Pauses after the first request, the second …; the last one then stays."""


class OpenRequest(NamedTuple):
    """What is being asked for."""

    reason: Reason
    epoch: int
    source_partition: int
    source_offset: int


class ResyncAsker:
    """Decides, for one instrument, when a request is due."""

    def __init__(self, instrument: InstrumentKey) -> None:
        self._instrument = instrument
        self._request: OpenRequest | None = None
        self._due_s = 0.0
        self._attempt = 0

    def follow(self, broken: Break | None, partition: int, now_s: float) -> None:
        """Take note of the break that is open after a batch, or that none is.

        None is what the core says once the book is LIVE again, and once the producer published an `invalid`.
        """
        if broken is None:
            if self._request is not None and self._request.reason is not Reason.STALE_EPOCH:
                self._request = None
        elif self._request is None or self._request.source_offset != broken.source_offset:
            grace_s = INVALID_GRACE_S if broken.awaits_invalid else 0.0
            self._start(OpenRequest(broken.reason, broken.epoch, partition, broken.source_offset), now_s + grace_s)

    def only_lower_epochs(self, epoch: int, partition: int, source_offset: int, now_s: float) -> None:
        """A batch held nothing but records of epochs below ours."""
        if self._request is None:
            self._start(OpenRequest(Reason.STALE_EPOCH, epoch, partition, source_offset), now_s + STALE_EPOCH_S)

    def heard_own_epoch(self) -> None:
        """A record of our epoch or a higher one came: the producer is not behind us."""
        if self._request is not None and self._request.reason is Reason.STALE_EPOCH:
            self._request = None

    def due(self, now_s: float) -> ResyncRequest | None:
        """The request to send now, if any; the next one is then due after a longer pause."""
        if self._request is None or now_s < self._due_s:
            return None
        self._due_s = now_s + RETRIES_S[min(self._attempt, len(RETRIES_S) - 1)]
        self._attempt += 1
        return ResyncRequest(*self._instrument, **self._request._asdict(), attempt=self._attempt)

    def _start(self, request: OpenRequest, due_s: float) -> None:
        self._request = request
        self._due_s = due_s
        self._attempt = 0
