"""Which instruments a feed produces, while it runs: as the venue's newest list says, and as far as they are ours.

The list is read at a setting's interval, through the gate that all requests pass, and beside whatever comes from the
venue. One that cannot be read changes nothing, and is told once. What it says is applied in one go: a changed grid
begins a book anew, an instrument that is traded no longer ends, one that is listed and wanted begins. What the venue
would not send is asked for again where the list says that it trades.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

import structlog

from obflow.clock import Clock
from obflow.metrics import Metrics
from producers.contract import Exchange
from producers.list_changes import ListChanges, compare_lists
from producers.live.feed import LiveFeed
from producers.live.listing import read_list
from producers.live.rest import RestClient
from producers.messages import Instrument, InstrumentList
from producers.selection import Selection
from schemas.errors import Backpressure, ExchangeUnreachable, MessageError, UsageError

Admit = Callable[[Sequence[Instrument]], Awaitable[Sequence[str]]]
"""Announces instruments, and gives those that nobody else produces."""

log = structlog.get_logger(__name__)


class Roster:
    """The instruments of a running feed.

    Args:
        feed: The feed.
        rest: The venue's REST interface.
        exchange: The venue.
        selection: What is to be produced.
        listed: What of it the list had at the start, by symbol.
        clock: When things are received.
        metrics: Where it is counted how often a list was read.
        is_ours: Whether an instrument is this producer's, by symbol.
        admit: What an instrument has to pass before it is subscribed.
    """

    def __init__(
        self,
        feed: LiveFeed,
        rest: RestClient,
        exchange: Exchange,
        selection: Selection,
        listed: Mapping[str, Instrument],
        *,
        clock: Clock,
        metrics: Metrics,
        is_ours: Callable[[str], bool],
        admit: Admit,
    ) -> None:
        self._feed = feed
        self._rest = rest
        self._exchange = exchange
        self._selection = selection
        self._listed = {symbol: one for symbol, one in listed.items() if not one.is_delisted}
        self._clock = clock
        self._reads = {
            outcome: metrics.counter("obflow_list_reads_total", venue=exchange.venue, outcome=outcome)
            for outcome in ("read", "failed")
        }
        self._is_ours = is_ours
        self._admit = admit
        self._missing: frozenset[str] = frozenset()
        self._is_unreadable = False
        self._filling = asyncio.Lock()

    async def refresh(self) -> None:
        """Read the list, and do what it says.

        Raises:
            UsageError: Everything that was named is delisted.
        """
        listed = await self._read()
        if listed is None:
            return
        changes = compare_lists(self._listed, listed, self._selects, self._missing)
        self._missing = changes.missing
        self._apply(changes)
        await self.fill()
        self._feed.carried.ask_again([symbol for symbol, one in self._listed.items() if not one.trading_status])

    async def fill(self) -> None:
        """Begin to produce what is listed and ours, and is not produced yet."""
        async with self._filling:
            there = self._feed.router.streams
            lacking = [one for symbol, one in self._listed.items() if symbol not in there and self._is_ours(symbol)]
            if not lacking:
                return
            admitted = [symbol for symbol in await self._admit(lacking) if symbol in there]  # not given up meanwhile
            if admitted:
                self._feed.carried.carry(admitted)
                log.info("instruments_added", symbols=admitted[:5], count=len(admitted))

    def _selects(self, instrument: Instrument) -> bool:
        return self._selection.holds(instrument) and bool(self._exchange.streams(instrument.symbol))

    async def _read(self) -> InstrumentList | None:
        """The list; None where it cannot be read now, which is told once."""
        try:
            listed = await read_list(self._rest, self._exchange, self._selection.named, clock=self._clock)
        except (ExchangeUnreachable, Backpressure, MessageError, UsageError) as error:
            self._note_failure(str(error))
            return None
        if not listed.instruments:
            self._note_failure("the list names no instrument")
            return None
        self._reads["read"].inc()
        if self._is_unreadable:
            self._is_unreadable = False
            log.info("instruments_listed_again", venue=self._exchange.venue)
        return listed

    def _note_failure(self, why: str) -> None:
        self._reads["failed"].inc()
        if not self._is_unreadable:
            self._is_unreadable = True
            log.warning("instruments_not_listed", venue=self._exchange.venue, error=why, kept=len(self._listed))

    def _apply(self, changes: ListChanges) -> None:
        there = self._feed.router.streams
        for instrument in changes.regridded:
            self._listed[instrument.symbol] = instrument
            if instrument.symbol in there:
                self._feed.carried.relist(instrument)
        for instrument in changes.restated:
            self._listed[instrument.symbol] = instrument
            if instrument.symbol in there:
                self._feed.carried.restate(instrument)
        for ended in changes.ended:
            del self._listed[ended.symbol]
            log.warning("instrument_delisted", symbol=ended.symbol, why=ended.why)
            if ended.symbol in there:
                self._feed.carried.end(ended.symbol, ended.why, delisted=True)
        self._listed |= {instrument.symbol: instrument for instrument in changes.new}
        if not self._listed and not self._selection.is_open:
            raise UsageError(f"{self._exchange.venue} has delisted all of these", next_step="name one that trades")


async def refresh_for_ever(roster: Roster, seconds: float) -> None:
    """Read the list again and again; 0 seconds is never."""
    while seconds:
        await asyncio.sleep(seconds)
        await roster.refresh()
