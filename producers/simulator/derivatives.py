"""What a simulated venue tells of a derivative besides its book: whole numbers, from a seed.

The mark price lies near mid, the index a little beside it; the funding rate drifts slowly and comes back to a basis
point; open interest walks. The draws are its own, so that the market of an instrument is the same without it.
"""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from producers.simulator.market_spec import MarketSpec
from schemas.units import NS_PER_SECOND

EVERY_NS = NS_PER_SECOND
"""How often it is told."""
WHOLE_EVERY = 5
"""Where changes are told, one message in so many tells all; else prices alone."""
FUNDING_EVERY_NS = 8 * 3600 * NS_PER_SECOND
PRICE_DECIMALS = 8
"""Digits after the point of mark and index prices."""
RATE_DECIMALS = 8
"""Digits after the point of a funding rate."""
USUAL_RATE = 10_000
"""Where a funding rate comes back to, in units of its last digit: a basis point."""
LARGEST_RATE = 300_000


class DerivativeState(NamedTuple):
    """What is told at one moment.

    Attributes:
        mark_units: Mark price, in units of its last digit.
        index_units: Index price, the same.
        rate: Funding rate, in units of its last digit; None where there is no funding.
        next_funding_ns: When the next funding is, ns UTC; None likewise.
        open_lots: Open interest, in lots.
        is_whole: Whether all of it is told, by a venue that else tells what changed.
    """

    mark_units: int
    index_units: int
    rate: int | None
    next_funding_ns: int | None
    open_lots: int
    is_whole: bool = True

    @property
    def mark_text(self) -> str:
        """The mark price as a decimal."""
        return decimal_text(self.mark_units, PRICE_DECIMALS)

    @property
    def index_text(self) -> str:
        """The index price as a decimal."""
        return decimal_text(self.index_units, PRICE_DECIMALS)

    @property
    def rate_text(self) -> str:
        """The funding rate as a decimal; empty where there is none."""
        return "" if self.rate is None else decimal_text(self.rate, RATE_DECIMALS)


class Derivative:
    """One instrument's.

    Args:
        spec: The instrument.
        seed: The same seed gives the same numbers.

    Attributes:
        spec: The same, on its newest grid.
    """

    def __init__(self, spec: MarketSpec, seed: int) -> None:
        self.spec = spec
        self._random = Random(f"{seed}:{spec.venue}:{spec.symbol}:derivative").random  # noqa: S311 (a simulation)
        self._rate = int(USUAL_RATE * (0.5 + self._random()))
        self.open_lots = spec.typical_lots * (2_000 + int(3_000 * self._random()))
        self._basis = 0
        self._told = 0

    def tell(self, now_ns: int, bid: int, ask: int) -> DerivativeState:
        """Go on by one moment, and tell.

        Args:
            now_ns: When, ns UTC.
            bid: Best bid, in ticks.
            ask: Best ask, in ticks.
        """
        mid = (bid + ask) * self.spec.tick_units(PRICE_DECIMALS) // 2
        self._rate += int((USUAL_RATE - self._rate) * 0.01 + 400 * (self._random() - 0.5))
        self._rate = max(-LARGEST_RATE, min(LARGEST_RATE, self._rate))
        self._basis += int((mid // 20_000) * (self._random() - 0.5)) - self._basis // 10
        self.open_lots = max(1, self.open_lots + int(self.open_lots * 0.001 * (self._random() - 0.5)))
        mark = max(1, mid + int((mid // 50_000) * (self._random() - 0.5)))
        has_funding = self.spec.has_funding
        next_ns = (now_ns // FUNDING_EVERY_NS + 1) * FUNDING_EVERY_NS if has_funding else None
        rate = self._rate if has_funding else None
        self._told += 1
        is_whole = self._told % WHOLE_EVERY == 0
        return DerivativeState(mark, max(1, mid + self._basis), rate, next_ns, self.open_lots, is_whole)


def decimal_text(units: int, decimals: int) -> str:
    """Write a whole number of units of the last digit as a decimal with so many digits after the point."""
    whole, fraction = divmod(abs(units), 10**decimals)
    return f"{'-' if units < 0 else ''}{whole}.{fraction:0{decimals}d}"
