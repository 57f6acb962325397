"""Which of a venue's instruments are a producer's: a fixed part of them, or what a lease gives."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from obflow.metrics import Metrics
from obflow.settings import Settings
from producers.broker.guard import LiveGuard
from producers.broker.leases import FencedSink, Lease
from producers.broker.overload import Sink
from producers.live.feed import LiveFeed
from producers.live.roster import Roster
from producers.live.sharing import ShareKeeper
from producers.selection import LEASE, FixedPart, Selection
from producers.settings import ProducerSettings


class InstrumentShare(Protocol):
    """Which of a venue's instruments are this producer's.

    Attributes:
        group: Among which producers a lease decides; empty where none does.
    """

    group: str

    def holds(self, symbol: str) -> bool:
        """Tell whether an instrument is ours now."""
        ...

    def at_start(self, symbols: Collection[str]) -> list[str]:
        """Pick those to begin with."""
        ...

    def fence(self, sink: Sink) -> Sink:
        """Let nothing pass that may be another producer's to write."""
        ...

    def beat(self) -> None:
        """Take in what was decided; to be called many times a second."""
        ...

    async def keep(self, feed: LiveFeed, roster: Roster, guard: LiveGuard) -> None:
        """Begin and end instruments as they become ours, or another's, for as long as it is awaited."""
        ...

    def close(self) -> None:
        """Give up what is ours, when the last word of each feed is out."""
        ...


class FixedShare:
    """The same part of all instruments from start to end.

    Args:
        venue: The venue.
        part: Which part.
    """

    group = ""

    def __init__(self, venue: str, part: FixedPart) -> None:
        self._venue = venue
        self._part = part

    def holds(self, symbol: str) -> bool:
        """Tell whether an instrument belongs to the part."""
        return self._part.holds(f"{self._venue}:{symbol}")

    def at_start(self, symbols: Collection[str]) -> list[str]:
        """Pick those of the part."""
        return [symbol for symbol in symbols if self.holds(symbol)]

    def fence(self, sink: Sink) -> Sink:
        """Give the way as it is: nobody else has this part."""
        return sink

    def beat(self) -> None:
        """Nothing is decided any more."""

    async def keep(self, feed: LiveFeed, roster: Roster, guard: LiveGuard) -> None:
        """Return: nothing changes."""
        del feed, roster, guard

    def close(self) -> None:
        """Nothing is to be given up."""


class LeasedShare:
    """What a lease gives, and takes away again.

    Args:
        lease: The lease.
    """

    def __init__(self, lease: Lease) -> None:
        self.group = lease.group
        self._lease = lease

    def holds(self, symbol: str) -> bool:
        """Tell whether the lease holds an instrument now."""
        return self._lease.holds(symbol)

    def at_start(self, symbols: Collection[str]) -> list[str]:
        """Pick none: what is ours comes with the lease."""
        del symbols
        return []

    def fence(self, sink: Sink) -> Sink:
        """Let nothing pass where the lease may be over."""
        return FencedSink(sink, self._lease)

    def beat(self) -> None:
        """Take in what the group has decided."""
        self._lease.beat()

    async def keep(self, feed: LiveFeed, roster: Roster, guard: LiveGuard) -> None:
        """Produce what the lease gives, and nothing else."""
        await ShareKeeper(self._lease, feed, roster, guard).run()

    def close(self) -> None:
        """Leave the group."""
        self._lease.close()


def share_of(settings: Settings, venue: str, selection: Selection, metrics: Metrics) -> InstrumentShare:
    """Find out which part of a selection is to be produced here.

    Args:
        settings: `kafka` and `producer` are used.
        venue: The venue.
        selection: What was asked for.
        metrics: Where it is shown what a lease holds.

    Raises:
        BrokerUnreachable, TopicMismatch: A lease is wanted, and its group cannot be joined.
    """
    share = settings.of(ProducerSettings).share
    if share == LEASE:
        return LeasedShare(Lease(settings, venue, selection, metrics=metrics))
    return FixedShare(venue, FixedPart.of(share))
