"""Prices of a model over time: one's own rows, as text in the settings, over those that a package knows. No clock.

A row is `model from_date input cached_input output`, USD per million tokens; rows are separated by semicolons. `-` in
the place of `cached_input` is the price of any other input. In force is the newest row whose date is not later than the
moment. A model without a row has no price: its cost is null, never 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from math import isfinite
from typing import Final, NamedTuple

from processors.derived.fees import date_ns
from processors.llm.pricing import NO_PRICES, Prices
from schemas.errors import UsageError

FIELDS: Final = 5
AS_ANY_INPUT: Final = "-"


class PriceRow(NamedTuple):
    """Prices of a model from a day on.

    Attributes:
        model: As it is asked for.
        from_ns: Start of that day, ns UTC; 0 is ever since.
        prices: They.
    """

    model: str
    from_ns: int
    prices: Prices


class PriceTable:
    """Prices of one model at every time.

    Args:
        own: What one pays, whatever others know.
        defaults: What holds where none of one's own does.
    """

    def __init__(self, own: Iterable[PriceRow], defaults: Iterable[PriceRow] = ()) -> None:
        self._own = sorted(own, key=_from_ns)
        self._defaults = sorted(defaults, key=_from_ns)

    def at(self, at_ns: int) -> Prices:
        """The prices in force at a moment, ns UTC; without a number where none are."""
        return _newest(self._own, at_ns) or _newest(self._defaults, at_ns) or NO_PRICES

    def most_usd(self, input_tokens: int, output_tokens: int) -> Decimal:
        """What so many tokens cost at most, USD, whichever row is in force; 0 without prices."""
        rows = (*self._own, *self._defaults)
        return max((row.prices.most_usd(input_tokens, output_tokens) for row in rows), default=Decimal(0))


def read_prices(text: str, model: str) -> list[PriceRow]:
    """The rows of a model.

    Raises:
        UsageError: A row, of whichever model, is none.
    """
    rows = [_row(line.split()) for line in text.split(";") if line.strip()]
    return [row for row in rows if row.model == model]


def _row(words: Sequence[str]) -> PriceRow:
    try:
        if len(words) != FIELDS:
            raise ValueError(f"{len(words)} words, not {FIELDS}")
        model, from_date, price_in, price_cached, price_out = words
        cached = None if price_cached == AS_ANY_INPUT else _price(price_cached)
        return PriceRow(model, date_ns(from_date), Prices(_price(price_in), _price(price_out), cached, from_date))
    except ValueError as error:
        raise UsageError(
            f"regimes.prices has a row that is none: {' '.join(words)!r} ({error})",
            next_step="write rows as `small-model 2026-01-01 0.15 0.075 0.60`, separated by semicolons",
        ) from None


def _price(word: str) -> float:
    price = float(word)
    if not isfinite(price) or price < 0.0:
        raise ValueError(f"{word} is no price")
    return price


def _newest(rows: Sequence[PriceRow], at_ns: int) -> Prices | None:
    return next((row.prices for row in reversed(rows) if row.from_ns <= at_ns), None)


def _from_ns(row: PriceRow) -> int:
    return row.from_ns
