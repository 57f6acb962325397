"""Which instruments of a venue a producer is to produce: named ones, all that trade, or those of a quote currency."""

from __future__ import annotations

from typing import NamedTuple

from producers.messages import Instrument
from schemas.partitions import partition_of

ALL = "all"
"""Asks for everything that trades."""
LEASE = "lease"
"""Asks for what a lease gives."""


class Selection(NamedTuple):
    """What was asked for.

    Attributes:
        named: Symbols, as the venue writes them; empty where not by name.
        quotes: Quote currencies, as canonical names have them; empty is any.
    """

    named: tuple[str, ...] = ()
    quotes: frozenset[str] = frozenset()

    @property
    def is_open(self) -> bool:
        """Whether an instrument that the venue lists later may belong to it."""
        return not self.named

    def holds(self, instrument: Instrument) -> bool:
        """Tell whether an instrument is to be produced; one that is not named has to trade."""
        if self.named:
            return instrument.symbol in self.named
        return not instrument.trading_status and (not self.quotes or quote_of(instrument) in self.quotes)


def bucket_of(selection: Selection, venue: str, symbol: str, buckets: int) -> int:
    """Find the bucket of an instrument among so many that are shared out; the same for all who share a selection.

    Few names lie as far from each other as they can, so that neighbouring buckets, which go to the same producer, hold
    no more of them than others. Of a selection that grows no name may move another one: there a hash decides.
    """
    named = sorted(set(selection.named))
    if symbol not in named:
        return partition_of(f"{venue}:{symbol}", buckets)
    rank = named.index(symbol)
    return rank * buckets // len(named) if len(named) <= buckets else rank % buckets


def quote_of(instrument: Instrument) -> str:
    """Name the quote currency, from `BTC-USDT-PERP`; empty where no list told a canonical name."""
    _, _, rest = instrument.canonical.partition("-")
    return rest.partition("-")[0]


class FixedPart(NamedTuple):
    """A fixed part of all instruments: those of each number of `parts` by the hash of their keys.

    Attributes:
        number: Which, from 1.
        parts: Of how many.
    """

    number: int = 1
    parts: int = 1

    @classmethod
    def of(cls, text: str) -> FixedPart:
        """Read a part as settings write it, `2/3`; empty is all there is."""
        number, _, parts = (text or "1/1").partition("/")
        return cls(int(number), int(parts))

    def holds(self, key: str) -> bool:
        """Tell whether an instrument belongs to it, by `venue:symbol`. Each belongs to exactly one part."""
        return partition_of(key, self.parts) == self.number - 1
