"""Canonical symbols: what two venues trade is the same only where base, quote and kind of contract are.

A venue's own symbol says its base and quote in a few ways: run together with a well-known quote at its end (`BTCUSDT`),
or apart (`BTC-USDT-SWAP`, `BTC_USDC-PERPETUAL`); an inverse contract may leave its quote out (`BTC-PERPETUAL`). A later
part with a digit is an expiry and stays. What is not understood has no canonical symbol: it is counted, never guessed;
a row in the settings names it.
"""

from __future__ import annotations

import re
from typing import Final

from schemas.errors import UsageError
from schemas.messages import ContractKind

QUOTES: Final = ("FDUSD", "USDT", "USDC", "TUSD", "BUSD", "USD", "EUR", "GBP", "TRY", "JPY", "BRL", "BTC", "ETH", "BNB")
"""Currencies that prices are told in, the longer before those they end with."""
PERPETUAL: Final = frozenset({"PERP", "PERPETUAL", "SWAP"})
APART: Final = re.compile(r"[-_/:]")

Named = dict[tuple[str, str], tuple[str, str]]


def canonical_symbol(venue: str, symbol: str, kind: ContractKind, named: Named) -> str | None:
    """Base, quote and kind of an instrument, as `BTC-USDT-linear`; null where its name does not say them.

    Args:
        venue: Exchange id.
        symbol: The venue's own symbol.
        kind: Of its contract; options have no canonical symbol.
        named: Base and quote of instruments whose names do not say them.
    """
    if kind is ContractKind.OPTION:
        return None
    parts = [part for part in APART.split(symbol.upper()) if part not in PERPETUAL]
    expiry = [part for part in parts[1:] if any(letter.isdigit() for letter in part)]
    words = [part for part in parts if part not in expiry]
    pair = named.get((venue, symbol)) or _pair(words, kind)
    return None if pair is None else "-".join((*pair, kind.value, *expiry))


def named_symbols(text: str) -> Named:
    """Read rows `venue symbol base quote`, separated by semicolons.

    Raises:
        UsageError: A row is none.
    """
    found = {}
    for row in (line.split() for line in text.split(";") if line.strip()):
        if len(row) != 4:
            raise UsageError(f"quotes.symbols has a row that is none: {' '.join(row)!r}")
        venue, symbol, base, quote = row
        found[venue, symbol] = (base.upper(), quote.upper())
    return found


def _pair(words: list[str], kind: ContractKind) -> tuple[str, str] | None:
    if len(words) == 2:
        return (words[0], words[1]) if all(words) else None
    if len(words) != 1:
        return None
    for quote in QUOTES:
        if words[0].endswith(quote) and words[0] != quote:
            return words[0].removesuffix(quote), quote
    return (words[0], "USD") if kind is ContractKind.INVERSE and words[0] else None
