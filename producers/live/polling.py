"""What no channel of a venue tells of derivatives is asked for from time to time, after everything that books need."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from producers.contract import Exchange, Fetch
from producers.live.feed import LiveFeed
from producers.live.rest import RestClient
from producers.live.source import VenueSource
from schemas.errors import Backpressure, ExchangeUnreachable

SHARE: Final = 0.1
"""Of the venue's weight: no more is spent on it, however many instruments there are."""
BOOKS_SECONDS: Final = 0.5
"""While a book is lacking, it is looked again after so long whether that is over."""
BOOKS_LOOKS: Final = 120
"""So often, a minute in all: then one request goes all the same."""

log = structlog.get_logger(__name__)


class Poller:
    """Asks for each instrument in turn, evenly over the interval. What comes enters the source as any answer.

    Args:
        exchange: The venue.
        client: Its REST interface, whose gate is that of everybody.
        source: Its connections.
        feed: The feed.
        every_s: Time between two requests for the same instrument; longer where the venue's weight wants it.
    """

    def __init__(
        self, exchange: Exchange, client: RestClient, source: VenueSource, feed: LiveFeed, every_s: float
    ) -> None:
        self._exchange = exchange
        self._client = client
        self._source = source
        self._feed = feed
        self._every_s = every_s
        self._failing: set[str] = set()

    async def run(self) -> None:
        """Ask, until cancelled."""
        while True:
            wanted = [(one, fetch) for one in self._feed.router.streams if (fetch := self._exchange.poll(one))]
            if not wanted:
                await asyncio.sleep(self._every_s)
            for symbol, fetch in wanted:
                await asyncio.sleep(pause_s(self._every_s, len(wanted), fetch, self._exchange.limits.weight_per_minute))
                await self._wait_for_books()
                await self._ask(symbol, fetch)

    async def _wait_for_books(self) -> None:
        """Let books come first; not for ever, since one that the venue refuses may lack always."""
        for _ in range(BOOKS_LOOKS):
            if not self._feed.lacks_books:
                return
            await asyncio.sleep(BOOKS_SECONDS)

    async def _ask(self, symbol: str, fetch: Fetch) -> None:
        """Ask once. One that fails is due again in its turn, and told once until it comes."""
        try:
            body = await self._client.get(fetch)
            if self._source.carries(symbol):  # one that is announced waits for its connection
                await self._source.answer(symbol, fetch.path, body)
            self._failing.discard(symbol)
        except (Backpressure, ExchangeUnreachable) as error:
            if symbol not in self._failing:
                log.warning("poll_failed", symbol=symbol, error=str(error))
            self._failing.add(symbol)


def pause_s(every_s: float, instruments: int, fetch: Fetch, weight_per_minute: int) -> float:
    """Tell how long to wait before each request: even over the interval, and within `SHARE` of the weight."""
    return max(every_s / instruments, fetch.weight * 60.0 / (weight_per_minute * SHARE))
