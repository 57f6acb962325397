"""Instruments that come to a running producer, or leave it: by the venue's list, or by a lease."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Final

import structlog

from producers.broker.guard import LiveGuard
from producers.broker.leases import Lease
from producers.broker.publisher import Publisher
from producers.live.feed import LiveFeed
from producers.live.roster import Roster
from producers.messages import Instrument
from schemas.errors import BrokerUnreachable, PipelineError
from schemas.messages import Source

AGAIN_SECONDS: Final = 2.0
"""What is ours and was refused, since somebody else produces it, is tried again this often."""
HANDED_ON: Final = "its lease ends: another producer goes on"

KnowTrades = Callable[[Collection[str]], Awaitable[None]]

log = structlog.get_logger(__name__)


class Admission:
    """What an instrument has to pass before a running producer subscribes to it: nobody else may produce it.

    Args:
        feed: The feed.
        guard: Knows of others.
        publisher: The way to the broker.
        source: What statuses carry.
        know_trades: Lets the feed know which trades of these are on the log already.
    """

    def __init__(
        self, feed: LiveFeed, guard: LiveGuard, publisher: Publisher, source: Source, know_trades: KnowTrades
    ) -> None:
        self._feed = feed
        self._know_trades = know_trades
        self._guard = guard
        self._publisher = publisher
        self._source = source
        self._refused: frozenset[str] = frozenset()

    async def admit(self, instruments: Sequence[Instrument]) -> Sequence[str]:
        """Announce instruments, and give those that are ours; the others are as if they had not been asked for."""
        free = set(self._guard.free_of_rivals(one.symbol for one in instruments))
        self._tell_refused(frozenset(one.symbol for one in instruments) - free)
        for instrument in instruments:
            if instrument.symbol in free:
                self._feed.carried.announce(instrument, self._guard.epoch_of(instrument.symbol))
        claimed = [symbol for symbol in free if symbol in self._feed.router.streams]
        try:
            admitted = await self._guard.admit(self._publisher, self._source, claimed) if claimed else []
        except BrokerUnreachable as error:
            log.warning("instruments_not_admitted", error=error.cause)
            self._guard.release(claimed)
            admitted = []
        for symbol in claimed:
            if symbol not in admitted and symbol in self._feed.router.streams:
                self._feed.carried.drop(symbol)
        if admitted:
            await self._note_trades(admitted)
        return admitted

    async def _note_trades(self, symbols: Collection[str]) -> None:
        """Know their trades that are on the log; where it cannot be read, some may be published again."""
        try:
            await self._know_trades(symbols)
        except PipelineError as error:
            log.warning("last_trades_not_known", error=error.cause)

    def _tell_refused(self, refused: frozenset[str]) -> None:
        if new := refused - self._refused:
            log.warning("another_producer_has", symbols=sorted(new)[:5], count=len(new))
        self._refused = refused


class ShareKeeper:
    """Lets a feed produce what a lease gives, and nothing else.

    Args:
        lease: The lease.
        feed: The feed.
        roster: What the venue lists of what was asked for.
        guard: Is told of what is produced no longer.
    """

    def __init__(self, lease: Lease, feed: LiveFeed, roster: Roster, guard: LiveGuard) -> None:
        self._lease = lease
        self._feed = feed
        self._roster = roster
        self._guard = guard
        self._changed = asyncio.Event()
        lease.on_taken = self._give_up
        lease.on_given = self._changed.set

    async def run(self) -> None:
        """Begin what the lease gives, as soon as it does."""
        while True:
            self._changed.clear()
            await self._roster.fill()
            try:
                async with asyncio.timeout(AGAIN_SECONDS):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def _give_up(self, in_order: bool) -> None:
        """Produce no longer what is not ours; what another has already, without a word."""
        gone = [symbol for symbol in self._feed.router.streams if not self._lease.holds(symbol)]
        for symbol in gone:
            if in_order:
                self._feed.carried.end(symbol, HANDED_ON)
            else:
                self._feed.carried.drop(symbol)
        self._guard.release(gone)
