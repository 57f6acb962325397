"""A quote as one leg of a pair: its levels as fractions, and whether it may be believed now."""

from __future__ import annotations

from fractions import Fraction

import msgspec

from processors.arbitrage.walk import Level
from schemas.messages import ContractKind, QuoteRecord, Source, Status
from schemas.units import NS_PER_MS

USABLE = (Status.OK, Status.THIN)


class Leg(msgspec.Struct):
    """The newest quote of one instrument. Serialisable as it stands.

    Attributes:
        quote: It.
        source_log, source_offset: The record of `l2.v1` behind it: one that is not newer is a repetition.
    """

    venue: str
    symbol: str
    feed_source: Source
    status: Status
    received_ns: int
    tick_size: str
    unit_size: str
    contract_kind: ContractKind
    bids: list[tuple[int, int]]
    asks: list[tuple[int, int]]
    source_log: str
    source_partition: int
    source_offset: int
    run: str

    @property
    def name(self) -> str:
        """`venue:symbol`."""
        return f"{self.venue}:{self.symbol}"

    @property
    def lot(self) -> Fraction:
        """Size of one lot, base units, on inverse contracts quote."""
        return Fraction(self.unit_size)

    def levels(self, side: list[tuple[int, int]]) -> list[Level]:
        """Levels as price and size."""
        tick, lot = Fraction(self.tick_size), self.lot
        return [(ticks * tick, lots * lot) for ticks, lots in side]

    def best(self, side: list[tuple[int, int]]) -> Fraction:
        """Price of a side's first level."""
        return side[0][0] * Fraction(self.tick_size)

    def age_ms(self, at_ns: int) -> float:
        """How old it is at a moment."""
        return (at_ns - self.received_ns) / NS_PER_MS

    def is_fresh(self, at_ns: int, allowed_ns: int) -> bool:
        """Whether its book is LIVE, two-sided, and of now: a clock that is ahead counts as one that is behind."""
        return self.status in USABLE and abs(at_ns - self.received_ns) <= allowed_ns


def leg_of(quote: QuoteRecord) -> Leg:
    """Take a quote for a leg."""
    unit = Fraction(quote.lot_size) * Fraction(quote.contract_value)
    return Leg(
        quote.venue,
        quote.symbol,
        quote.feed_source,
        quote.status,
        quote.received_ns,
        quote.tick_size,
        str(unit),
        quote.contract_kind,
        list(zip(quote.bid_ticks, quote.bid_lots, strict=True)),
        list(zip(quote.ask_ticks, quote.ask_lots, strict=True)),
        quote.source_log,
        quote.source_partition,
        quote.source_offset,
        quote.run,
    )
