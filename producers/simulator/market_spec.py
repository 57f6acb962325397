"""One simulated instrument: its grid as a venue writes it, and the market it starts with."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple


class MarketSpec(NamedTuple):
    """One simulated instrument.

    Attributes:
        venue: Exchange id.
        symbol: The venue's own symbol.
        base, quote: Assets.
        tick_size, lot_size: The grid as the venue's instrument list writes it.
        price_decimals, size_decimals: Digits after the point in every message.
        price_ticks: Where the market starts, in ticks.
        typical_lots: Median size of a level, in lots.
        hidden_ids: Most update ids that one change may skip, where the venue also counts changes that nobody is shown.
        ids_count_updates: Whether an update id counts the updates that leave, not the changes in them.
        is_derivative: Whether the venue tells a mark price and an open interest of it.
        has_funding: Whether it tells a funding rate too.
        is_delisted: Whether it trades no longer.
    """

    venue: str
    symbol: str
    base: str
    quote: str
    tick_size: str
    lot_size: str
    price_decimals: int
    size_decimals: int
    price_ticks: int
    typical_lots: int
    hidden_ids: int = 0
    ids_count_updates: bool = False
    is_derivative: bool = False
    has_funding: bool = False
    is_delisted: bool = False

    def refined(self, times: int) -> MarketSpec:
        """The same instrument with a tick of so many to one of the old ones."""
        tick_size = str(Decimal(self.tick_size) / times)
        decimals = max(self.price_decimals, _places(tick_size))
        return self._replace(tick_size=tick_size, price_decimals=decimals, price_ticks=self.price_ticks * times)

    def tick_units(self, decimals: int) -> int:
        """How many units of the last of so many digits after the point a tick is."""
        return _units(self.tick_size, decimals)

    def price_text(self, ticks: int) -> str:
        """A price as the venue writes it."""
        return _text(ticks * _units(self.tick_size, self.price_decimals), self.price_decimals)

    def size_text(self, lots: int) -> str:
        """A size as the venue writes it."""
        return _text(lots * _units(self.lot_size, self.size_decimals), self.size_decimals)

    def level_texts(self, levels: Iterable[tuple[int, int]]) -> list[tuple[str, str]]:
        """Levels, given as (tick, lots), as the venue writes them."""
        return [(self.price_text(tick), self.size_text(lots)) for tick, lots in levels]


class ListedMarket(NamedTuple):
    """What a venue's file says of an instrument: its grid, where its market starts, the median size of a level."""

    tick_size: str
    lot_size: str
    price: str
    size: str

    def spec(
        self, venue: str, symbol: str, base: str, quote: str, *, decimals: int | None = None, hidden_ids: int = 0
    ) -> MarketSpec:
        """The instrument.

        Args:
            venue: Exchange id.
            symbol: The venue's own symbol.
            base: Asset.
            quote: Asset.
            decimals: Digits after the point of all numbers; as many as the grid has, where it is None.
            hidden_ids: See `MarketSpec`.
        """
        return MarketSpec(
            venue=venue,
            symbol=symbol,
            base=base,
            quote=quote,
            tick_size=self.tick_size,
            lot_size=self.lot_size,
            price_decimals=_places(self.tick_size) if decimals is None else decimals,
            size_decimals=_places(self.lot_size) if decimals is None else decimals,
            price_ticks=_steps(self.price, self.tick_size),
            typical_lots=_steps(self.size, self.lot_size),
            hidden_ids=hidden_ids,
        )


def _places(text: str) -> int:
    return len(text.partition(".")[2])


@lru_cache(maxsize=4_096)  # asked for each number that is written
def _units(step: str, decimals: int) -> int:
    whole, _, fraction = step.partition(".")
    return int(whole + fraction[:decimals].ljust(decimals, "0"))


def _steps(text: str, step: str) -> int:
    places = max(_places(text), _places(step))
    return _units(text, places) // _units(step, places)


def _text(units: int, decimals: int) -> str:
    if not decimals:
        return str(units)
    whole, fraction = divmod(units, 10**decimals)
    return f"{whole}.{fraction:0{decimals}d}"
