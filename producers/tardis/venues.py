"""Which of our venues an exchange of Tardis is, and how its numbers are written as plain decimals."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Final

VENUES: Final[dict[str, str]] = {
    "binance": "binance",
    "binance-futures": "binance-futures",
    "binance-delivery": "binance-delivery",
    "bybit": "bybit",
    "bybit-spot": "bybit-spot",
    "okex": "okx",
    "okex-swap": "okx",
    "okex-futures": "okx",
    "deribit": "deribit",
}
"""Our venue ids by the exchange ids of Tardis; OKX is three there, by kind of instrument."""


def plain_decimal(text: str) -> str:
    """Write a number without an exponent: "1e-7" is "0.0000001"; what is no number stays, to be refused as it is."""
    if "e" not in text and "E" not in text:
        return text
    try:
        return f"{Decimal(text):f}"
    except InvalidOperation:
        return text
