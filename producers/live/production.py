"""The parts of a live producer: what it holds from its start to its end, and how each of them is made."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Mapping
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

from obflow.clock import Clock
from obflow.metrics import Metrics
from obflow.settings import Settings
from producers.broker.earlier import refuse_other_source
from producers.broker.guard import LiveGuard
from producers.broker.last_trades import last_trades
from producers.broker.publisher import Publisher
from producers.broker.resyncs import ResyncReader
from producers.compilation import MakeEngine
from producers.contract import Exchange
from producers.live.feed import LiveFeed
from producers.live.quality import VenueClock
from producers.live.rest import RestClient
from producers.live.roster import Roster, refresh_for_ever
from producers.live.shares import share_of
from producers.live.sharing import Admission
from producers.messages import Instrument
from producers.recordings.writer import FrameWriter
from producers.selection import Selection
from producers.settings import ProducerSettings
from schemas.messages import Source
from schemas.runs import producer_run


class Production:
    """What a live producer holds from its start to its end, and how its parts are made.

    Args:
        exchange: The venue.
        selection: What was asked for.
        settings: `kafka` and `producer` are used.
        clock: When things are received.
        metrics: Where counts are shown.
        stop: Ends every wait.
        held: Closes what is held, the last one opened first.

    Attributes:
        publisher: The way to the broker.
        source: What records and statuses carry.
        venue_clock: What the venue's answers say of its clock.
    """

    def __init__(
        self,
        exchange: Exchange,
        selection: Selection,
        settings: Settings,
        clock: Clock,
        metrics: Metrics,
        stop: asyncio.Event,
        held: AsyncExitStack,
    ) -> None:
        self._exchange, self._selection, self._settings = exchange, selection, settings
        self._clock, self._metrics, self._stop, self._held = clock, metrics, stop, held
        self._chosen = settings.of(ProducerSettings)
        self._started_ns = clock.now_ns()
        self.source = Source(self._chosen.source)
        self.venue_clock = VenueClock()
        self._share = share_of(settings, exchange.venue, selection, metrics)
        held.callback(self._share.close)  # last of all: what is ours goes to others then
        self._requests = ResyncReader(settings, exchange.venue)
        held.callback(self._requests.close)
        self.publisher = Publisher(settings, metrics, clock.now_ns, share=self._share.group)
        held.callback(self.publisher.close)

    async def stand_alone(self, symbols: Collection[str]) -> LiveGuard:
        """Make sure that nobody else produces these, and that nothing of another source is stored of them."""
        guard = LiveGuard(
            self._settings,
            self._exchange.venue,
            self._share.at_start(symbols),
            run=self.publisher.run,
            clock=self._clock,
            metrics=self._metrics,
            share=self._share.group,
        )
        self._held.callback(guard.close)
        await guard.stand_alone(self._stop)
        await asyncio.to_thread(refuse_other_source, self._settings, self._exchange.venue, symbols)
        return guard

    def feed(self, listed: Mapping[str, Instrument], tap: FrameWriter | None, engine: MakeEngine | None) -> LiveFeed:
        """Make the feed of what is ours at the start."""
        return LiveFeed(
            self._exchange,
            {symbol: listed[symbol] for symbol in self._share.at_start(listed)},
            self._chosen,
            clock=self._clock,
            metrics=self._metrics,
            sink=self._share.fence(self.publisher),
            is_outdated=self.publisher.has_answered,
            run=producer_run(self.source, self._exchange.venue, self._started_ns, self.publisher.run),
            tap=tap.write if tap else None,
            engine=engine,
            venue_clock=self.venue_clock,
        )

    async def know_trades(self, feed: LiveFeed, symbols: Collection[str]) -> None:
        """Let a feed know which trades of these are on the log already. To be called once nobody else produces them."""
        venue = self._exchange.venue
        feed.know_trades(await asyncio.to_thread(last_trades, self._settings, venue, self.source, symbols))

    def background(
        self, feed: LiveFeed, rest: RestClient, listed: Mapping[str, Instrument], guard: LiveGuard
    ) -> list[Callable[[], Coroutine[Any, Any, None]]]:
        """Give what runs beside the feed: it follows the venue's list, and what is ours."""
        roster = Roster(
            feed,
            rest,
            self._exchange,
            self._selection,
            listed,
            clock=self._clock,
            metrics=self._metrics,
            is_ours=self._share.holds,
            admit=Admission(feed, guard, self.publisher, self.source, partial(self.know_trades, feed)).admit,
        )
        refresh = partial(refresh_for_ever, roster, self._chosen.list_refresh_seconds)
        return [refresh, partial(self._share.keep, feed, roster, guard)]

    def on_tick(self, feed: LiveFeed, guard: LiveGuard) -> None:
        """Take in what the broker, other producers and readers say."""
        self.publisher.poll()
        guard.look()
        self._share.beat()
        feed.on_requests(*self._requests.poll())
