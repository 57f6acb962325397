"""Which instruments the demo runs: three venues side by side, or those that were asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from schemas.errors import UsageError
from schemas.messages import InstrumentKey

THREE_VENUES: Final = ("binance-futures", "bybit", "okx")
"""Each has perpetuals of the same two assets against USDT: what arbitrage is looked for in."""
USUAL: Final[Mapping[str, tuple[str, ...]]] = {
    "okx": ("BTC-USDT-SWAP", "ETH-USDT-SWAP"),
    "deribit": ("BTC-PERPETUAL", "ETH-PERPETUAL"),
    "binance-delivery": ("BTCUSD_PERP", "ETHUSD_PERP"),
}
USUAL_ELSEWHERE: Final = ("BTCUSDT", "ETHUSDT")


def instruments(
    venues: Iterable[str], symbols: Sequence[str], *, single: bool = False
) -> Mapping[str, tuple[str, ...]]:
    """The symbols of each venue, as it writes them.

    Args:
        venues: Those asked for.
        symbols: Those asked for: of each venue, or of one where they begin with its name and a colon.
        single: Whether there is one venue only, and all of its instruments: of a recording.

    Raises:
        UsageError: There are more venues than one where there is one only, or instruments are chosen of that one.
    """
    if single and symbols:
        raise UsageError("a recording is replayed with all its instruments", next_step="leave --symbol out")
    named = [InstrumentKey.parse(symbol) if ":" in symbol else InstrumentKey("", symbol) for symbol in symbols]
    wanted = list(dict.fromkeys([*venues, *(key.venue for key in named if key.venue)]))
    wanted = wanted or list(THREE_VENUES[: 1 if single or named else None])
    if single and len(wanted) > 1:
        raise UsageError("a recording is of one venue", next_step=f"give --venue {wanted[0]} alone")
    return {venue: _symbols(venue, named) for venue in wanted}


def _symbols(venue: str, named: Iterable[InstrumentKey]) -> tuple[str, ...]:
    asked = tuple(dict.fromkeys(key.symbol for key in named if key.venue in ("", venue)))
    return asked or USUAL.get(venue, USUAL_ELSEWHERE)
