"""What the simulated exchange trades: grids, prices and sizes as on the real venues in August 2024.

A symbol that is not listed here can be simulated too, with an invented market: load tests want many.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from schemas.errors import UsageError


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

    def price_text(self, ticks: int) -> str:
        """A price as the venue writes it."""
        return _text(ticks * _units(self.tick_size, self.price_decimals), self.price_decimals)

    def size_text(self, lots: int) -> str:
        """A size as the venue writes it."""
        return _text(lots * _units(self.lot_size, self.size_decimals), self.size_decimals)


class _Listed(NamedTuple):
    base: str
    tick_size: str
    lot_size: str
    price: str
    size: str


FUTURES = "binance-futures"
SPOT = "binance"
VENUES = (FUTURES, SPOT)
SPOT_DECIMALS = 8
"""Binance spot pads every number to eight digits; the futures write as many as the grid has."""

_LISTED: dict[str, tuple[_Listed, ...]] = {
    FUTURES: (
        _Listed("BTC", "0.10", "0.001", "61800.10", "0.113"),
        _Listed("ETH", "0.01", "0.001", "2683.25", "2.150"),
        _Listed("SOL", "0.0100", "1", "152.3000", "38"),
        _Listed("BNB", "0.010", "0.01", "511.320", "4.10"),
        _Listed("XRP", "0.0001", "0.1", "0.6121", "2400.5"),
        _Listed("DOGE", "0.000010", "1", "0.105320", "11500"),
        _Listed("ADA", "0.00010", "1", "0.34560", "6100"),
        _Listed("LINK", "0.001", "0.01", "10.215", "95.40"),
    ),
    SPOT: (
        _Listed("BTC", "0.01", "0.00001", "61837.64", "0.01120"),
        _Listed("ETH", "0.01", "0.0001", "2684.31", "0.4100"),
        _Listed("SOL", "0.01", "0.001", "152.36", "12.400"),
        _Listed("BNB", "0.1", "0.001", "511.5", "1.950"),
        _Listed("XRP", "0.0001", "1", "0.6123", "1700"),
        _Listed("DOGE", "0.00001", "1", "0.10537", "8200"),
        _Listed("ADA", "0.0001", "0.1", "0.3457", "2900.5"),
        _Listed("LINK", "0.01", "0.01", "10.22", "61.30"),
    ),
}
_INVENTED = _Listed("", "0.001", "0.01", "100.000", "5.00")
_SYMBOL = re.compile(r"([A-Z0-9]{1,16})(USDT|USDC|BTC)")


def require_venue(venue: str) -> str:
    """The venue, if the simulator speaks for it.

    Raises:
        UsageError: It does not.
    """
    if venue not in VENUES:
        raise UsageError(f"the simulator does not speak for {venue}", next_step=f"use one of {', '.join(VENUES)}")
    return venue


def listed_symbols(venue: str) -> tuple[str, ...]:
    """Symbols with a market of their own on this venue."""
    return tuple(listed.base + "USDT" for listed in _LISTED[venue])


def market_spec(venue: str, symbol: str) -> MarketSpec:
    """The market behind a symbol.

    Raises:
        UsageError: Not a venue the simulator speaks for, or not a symbol in its form.
    """
    require_venue(venue)
    match = _SYMBOL.fullmatch(symbol)
    if match is None:
        raise UsageError(f"{symbol!r} is not a symbol of {venue}", next_step="write it as the venue does: BTCUSDT")
    base, quote = match.groups()
    known = {listed.base: listed for listed in _LISTED[venue]} if quote == "USDT" else {}
    listed = known.get(base, _INVENTED)
    price_decimals, size_decimals = (
        (SPOT_DECIMALS, SPOT_DECIMALS) if venue == SPOT else (_places(listed.tick_size), _places(listed.lot_size))
    )
    return MarketSpec(
        venue=venue,
        symbol=symbol,
        base=base,
        quote=quote,
        tick_size=listed.tick_size,
        lot_size=listed.lot_size,
        price_decimals=price_decimals,
        size_decimals=size_decimals,
        price_ticks=_steps(listed.price, listed.tick_size),
        typical_lots=_steps(listed.size, listed.lot_size),
    )


def _places(text: str) -> int:
    return len(text.partition(".")[2])


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
