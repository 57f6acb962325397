"""The books that streams ask for, fetched one request at a time for each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

import structlog

from obflow.backoff import Backoff
from producers.contract import Exchange
from producers.live.rest import RestClient
from schemas.errors import Backpressure, ExchangeUnreachable

log = structlog.get_logger(__name__)


class Fetched(NamedTuple):
    """A book that arrived."""

    symbol: str
    request: str
    body: bytes


class SnapshotFetcher:
    """Fetches books for the streams that ask, one request at a time for each.

    Args:
        client: The venue's REST interface.
        exchange: The venue.
        take: Is given each book that arrives.
        spawn: Starts a task whose failure is seen, as a task group's `create_task`.
        concurrency: Requests under way at once.

    Attributes:
        fetched: Books that arrived.
    """

    def __init__(
        self,
        client: RestClient,
        exchange: Exchange,
        take: Callable[[Fetched], None],
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
        *,
        concurrency: int = 4,
    ) -> None:
        self.fetched = 0
        self._spawn = spawn
        self._client = client
        self._exchange = exchange
        self._take = take
        self._slots = asyncio.Semaphore(concurrency)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._backoffs: dict[str, Backoff] = {}
        self._not_before: dict[str, float] = {}

    def want(self, symbol: str) -> None:
        """Fetch this book, unless that is under way or was tried a moment ago."""
        if symbol not in self._tasks and time.monotonic() >= self._not_before.get(symbol, 0.0):
            self._tasks[symbol] = self._spawn(self._fetch(symbol))

    def settled(self, symbol: str) -> None:
        """The stream has what it needs: the next want is a new one, and served at once."""
        if symbol in self._backoffs:
            del self._backoffs[symbol]
            self._not_before.pop(symbol, None)

    def cancel(self) -> None:
        """Give up what is under way."""
        for task in self._tasks.values():
            task.cancel()

    async def _fetch(self, symbol: str) -> None:
        request = self._exchange.snapshot_request(symbol)
        at_least_s = 0.0
        try:
            async with self._slots:
                body = await self._client.get(request)
            self.fetched += 1
            self._take(Fetched(symbol, request.path, body))
        except (ExchangeUnreachable, Backpressure) as error:
            at_least_s = error.retry_after_s if isinstance(error, Backpressure) else 0.0
            log.warning("snapshot_failed", symbol=symbol, error=str(error))
        finally:
            # Also where it came: one that nothing bridges is asked for again, but not in a tight circle.
            backoff = self._backoffs.setdefault(symbol, Backoff())
            self._not_before[symbol] = time.monotonic() + backoff.next_s(at_least_s)
            del self._tasks[symbol]
