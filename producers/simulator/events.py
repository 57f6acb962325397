"""What happens at a venue, before any venue's words: numbers on the grid, and the times at which they leave."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from producers.simulator.derivatives import DerivativeState
from producers.simulator.market import Fill
from producers.simulator.market_spec import MarketSpec
from producers.simulator.true_book import WholeBook
from schemas.units import NS_PER_MS

DEPTH_SPEED_NS = 100 * NS_PER_MS


class StreamKind(StrEnum):
    """What of an instrument can be subscribed to."""

    DEPTH = "depth"
    TRADE = "trade"
    QUOTE = "quote"
    MARK = "mark"
    """Mark price, and all else of a derivative that comes with it."""
    FUNDING = "funding"
    OPEN_INTEREST = "open_interest"


BOOK_STREAMS = (StreamKind.DEPTH, StreamKind.TRADE, StreamKind.QUOTE)
"""What every instrument has; the others are of derivatives alone."""


class Subscription(NamedTuple):
    """One stream of one instrument."""

    symbol: str
    stream: StreamKind


class Damage(StrEnum):
    """What may be wrong with a frame on the wire."""

    NONE = "none"
    CUT = "cut"
    NUMBER = "number"
    CHECKSUM = "checksum"


class DepthUpdate(NamedTuple):
    """All levels that changed since the last update; sizes absolute, as (tick, lots)."""

    first_id: int
    last_id: int
    previous_id: int
    bids: list[tuple[int, int]]
    asks: list[tuple[int, int]]


class TopOfBook(NamedTuple):
    """Best levels after an update id."""

    update_id: int
    bid: int
    bid_lots: int
    ask: int
    ask_lots: int


class OddTrade(NamedTuple):
    """A message on the stream of trades that is no trade on the book."""

    trade_id: int


class MarketEvent(NamedTuple):
    """One event on its way out, not yet text: a connection chooses how it is written.

    Attributes:
        spec: The instrument.
        stream: Its stream.
        matched_ns: When the matching engine made it, ns UTC.
        sent_ns: When it left the venue, ns UTC.
        what: What it says.
        damage: What was broken on the way.
        summed: The best levels after it, where the venue makes a checksum of them.
    """

    spec: MarketSpec
    stream: StreamKind
    matched_ns: int
    sent_ns: int
    what: DepthUpdate | WholeBook | TopOfBook | Fill | OddTrade | DerivativeState
    damage: Damage = Damage.NONE
    summed: WholeBook | None = None

    @property
    def subscription(self) -> Subscription:
        """Who listens to this hears it."""
        return Subscription(self.spec.symbol, self.stream)

    def level_texts(self) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        """Bids and asks of depth as the venue writes them, one of them broken where a number is damaged."""
        assert isinstance(self.what, DepthUpdate | WholeBook)  # noqa: S101 (the stream says so)
        bids, asks = self.spec.level_texts(self.what.bids), self.spec.level_texts(self.what.asks)
        if self.damage is Damage.NUMBER:
            damaged = bids or asks
            price = damaged[0][0] if damaged else self.spec.price_text(self.spec.price_ticks)
            damaged[:1] = [(price, "1e5")]
        return bids, asks
