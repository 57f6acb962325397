"""The books that streams ask for: fetched, or asked for in the stream, one attempt at a time for each."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import structlog

from obflow.backoff import Backoff, growing_wait_s
from producers.contract import Exchange, Fetch
from producers.live.rest import RequestRefused, RestClient
from producers.live.source import VenueSource
from producers.messages import Notice
from schemas.errors import Backpressure, ExchangeUnreachable

IN_STREAM_SECONDS = 10.0
"""How long a book that was asked for in the stream may take before it is asked for again."""

REFUSED_SECONDS = 4.0
"""After the first answer that will not change: each further one doubles it."""
LONGEST_REFUSED_SECONDS = 300.0
OWED_SECONDS = 1.0
"""After the first failure to fetch a book that is wanted whatever happens: each further one doubles it, to as long."""
FEW_FUTILE = 6
"""Books in a row that came and no update bridged, or did not come in the stream, are a moment's; more are waited for as
for what is refused."""

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Owed:
    """A book that somebody waits for, whether its stream needs one or not.

    Attributes:
        backoff: Waits between tries.
        not_before_s: When it may be tried again, monotonic.
    """

    backoff: Backoff
    not_before_s: float = 0.0

    def fail(self, at_least_s: float) -> None:
        """Note a try that brought nothing."""
        self.not_before_s = time.monotonic() + self.backoff.next_s(at_least_s)


class BookRecovery:
    """Comes by the books of streams that lack one. What is fetched enters the source as any frame.

    Args:
        exchange: The venue.
        client: Its REST interface.
        source: Its connections.
        has_room: Whether there is room for what a book will bring; else it is asked for again later.
        spawn: Starts a task whose failure is seen, as a task group's `create_task`.
        tell: Is told of an instrument what is wrong with it, and with an empty sentence that it is over.
        concurrency: Requests under way at once.

    Attributes:
        client: The REST interface.
    """

    def __init__(
        self,
        exchange: Exchange,
        client: RestClient,
        source: VenueSource,
        has_room: Callable[[str], bool],
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
        tell: Callable[[str, str, str], None] = lambda *_: None,
        *,
        concurrency: int = 4,
    ) -> None:
        self._exchange = exchange
        self.client = client
        self._source = source
        self._has_room = has_room
        self._spawn = spawn
        self._tell = tell
        self._refusals: Counter[str] = Counter()
        self._in_trouble: set[str] = set()
        self._futile: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()
        self._slots = asyncio.Semaphore(concurrency)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._arrived: dict[str, asyncio.Event] = {}
        self._backoffs: dict[str, Backoff] = {}
        self._not_before: dict[str, float] = {}
        self._owed: dict[str, Owed] = {}

    def request(self, symbol: str) -> bool:
        """Come by this book, unless that is under way or was tried a moment ago; True where it is under way."""
        if symbol not in self._tasks and time.monotonic() >= self._not_before.get(symbol, 0.0):
            self._tasks[symbol] = self._spawn(self._recover(symbol))
        return symbol in self._tasks

    def request_beside(self, symbol: str) -> bool:
        """Fetch this book beside the LIVE one; False where it cannot be fetched. One that fails is due again later."""
        way = self._exchange.recover(symbol)
        if symbol not in self._tasks and isinstance(way, Fetch):
            self._tasks[symbol] = self._spawn(self._fetch_beside(symbol, way))
        return isinstance(way, Fetch)

    def request_anew(self, symbol: str) -> bool:
        """Fetch this book beside the LIVE one, until it comes; False where it cannot be fetched."""
        if isinstance(self._exchange.recover(symbol), Fetch):
            self._owed[symbol] = Owed(Backoff(OWED_SECONDS, LONGEST_REFUSED_SECONDS, certain=0.5))
        return self.request_beside(symbol)

    def note_live(self, symbol: str) -> None:
        """Note that the stream has what it needs: the next want is a new one, and served at once."""
        if symbol in self._owed and time.monotonic() >= self._owed[symbol].not_before_s:
            self.request_beside(symbol)
        if symbol in self._arrived:
            self._arrived[symbol].set()
        if symbol in self._backoffs:
            del self._backoffs[symbol]
            self._not_before.pop(symbol, None)
            del self._failed[symbol]
        self._refusals.pop(symbol, None)
        self._futile.pop(symbol, None)
        if symbol in self._in_trouble:
            self._in_trouble.discard(symbol)
            self._tell(symbol, "snapshot", "")

    def forget(self, symbol: str) -> None:
        """Give up what is under way for an instrument that is produced no longer, and what is known of it."""
        if (task := self._tasks.pop(symbol, None)) is not None:
            task.cancel()  # its place is free at once: one that never ran could not free it
        for counted in (self._refusals, self._failed, self._futile):
            counted.pop(symbol, None)
        self._owed.pop(symbol, None)
        self._backoffs.pop(symbol, None)
        self._not_before.pop(symbol, None)
        self._in_trouble.discard(symbol)

    def cancel(self) -> None:
        """Give up what is under way."""
        for task in self._tasks.values():
            task.cancel()

    async def _recover(self, symbol: str) -> None:
        way = self._exchange.recover(symbol, self._failed[symbol])
        self._failed[symbol] += 1
        at_least_s = self._futile_wait_s(symbol)
        try:
            if isinstance(way, Fetch):
                await self._fetch(symbol, way)
                self._futile[symbol] += 1  # until it is LIVE
            else:
                if way:
                    self._source.say(symbol, way)
                else:
                    self._source.reconnect(symbol)
                await self._arrival(symbol)
        except RequestRefused as error:
            at_least_s = self._note_refusal(symbol, error)
        except (ExchangeUnreachable, Backpressure) as error:
            at_least_s = error.retry_after_s if isinstance(error, Backpressure) else 0.0
            log.warning("snapshot_failed", symbol=symbol, error=str(error))
            if isinstance(error, ExchangeUnreachable) and self._failed[symbol] > 1:  # the first may be a moment's
                self._tell_trouble(symbol, f"no book could be had: {error.cause}")
        finally:
            if self._finish(symbol):
                # Also where it came: one that nothing bridges is asked for again, but not in a tight circle.
                backoff = self._backoffs.setdefault(symbol, Backoff())
                self._not_before[symbol] = time.monotonic() + backoff.next_s(at_least_s)

    async def _fetch_beside(self, symbol: str, way: Fetch) -> None:
        try:
            await self._fetch(symbol, way)
        except (RequestRefused, ExchangeUnreachable, Backpressure) as error:
            log.info("comparison_failed", symbol=symbol, error=str(error))
            if symbol in self._owed:
                self._owed[symbol].fail(error.retry_after_s if isinstance(error, Backpressure) else 0.0)
        finally:
            self._finish(symbol)

    def _finish(self, symbol: str) -> bool:
        """Take the attempt that runs from those under way; False where its instrument was forgotten meanwhile."""
        own = self._tasks.get(symbol) is asyncio.current_task()
        if own:
            del self._tasks[symbol]
        return own

    def _futile_wait_s(self, symbol: str) -> float:
        """Tell how long this attempt is waited out beyond the usual, where it is one of many that led to nothing."""
        many = self._futile[symbol] - FEW_FUTILE
        return growing_wait_s(many, REFUSED_SECONDS, LONGEST_REFUSED_SECONDS) if many >= 0 else 0.0

    def _note_refusal(self, symbol: str, error: RequestRefused) -> float:
        """Tell once that an instrument is refused; gives how long to leave it, which grows to minutes.

        So the weight of a request is left to the others, of which the venue refuses none.
        """
        self._refusals[symbol] += 1
        wait_s = growing_wait_s(self._refusals[symbol] - 1, REFUSED_SECONDS, LONGEST_REFUSED_SECONDS)
        self._tell_trouble(symbol, f"the venue refuses a book of this symbol ({error.why})")
        log.warning("snapshot_refused", symbol=symbol, error=str(error), retry_s=wait_s)
        return wait_s

    def _tell_trouble(self, symbol: str, sentence: str) -> None:
        """Say why no book comes; `note_live` says that it is over."""
        self._in_trouble.add(symbol)
        self._tell(symbol, "snapshot", sentence)

    async def _fetch(self, symbol: str, fetch: Fetch) -> None:
        async with self._slots:
            body = await self.client.get(fetch)
        if not self._has_room(symbol):
            return
        told = await self._source.answer(symbol, fetch.path, body)
        refused = next((notice for notice in told if isinstance(notice, Notice)), None)
        if refused is not None or len(body) > self.client.max_bytes:
            why = refused.detail if refused else f"it has more than {self.client.max_bytes} bytes"
            raise RequestRefused("an answer without a book", why=why, next_step="check the symbol")
        self._owed.pop(symbol, None)

    async def _arrival(self, symbol: str) -> None:
        """Wait until the book came in the stream: asked for twice, a venue would send it twice."""
        self._arrived[symbol] = asyncio.Event()
        try:
            async with asyncio.timeout(IN_STREAM_SECONDS):
                await self._arrived[symbol].wait()
        except TimeoutError:
            self._futile[symbol] += 1
            log.warning("snapshot_failed", symbol=symbol, error="none came in the stream")
            if self._futile[symbol] > 1:
                self._tell_trouble(symbol, "no book came in the stream that was asked for")
        finally:
            del self._arrived[symbol]
