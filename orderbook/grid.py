"""The grid of an instrument: integers in the book, decimals on paper, floats only inside a factor.

A price is `ticks·num/den` with integers taken from the decimal tick size (0.10 is 1/10): one correctly rounded
division, so that 618002 ticks of 0.1 are 61800.2. Multiplying by the tick size as a float is wrong in the last bit in
a third of the rows of a real recording.
"""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from math import inf
from typing import Final

from schemas.errors import InvalidNumber
from schemas.messages import ContractKind

PLAIN_DECIMAL: Final = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?", re.ASCII)


class Grid:
    """Tick size, lot size, contract value and kind of one instrument. Build it with `Grid.of`, which caches.

    Attributes:
        tick_size, lot_size, contract_value: The decimal strings as given.
        contract_kind: How a size becomes a notional.
        is_inverse: True where a contract is worth an amount of quote currency.
        price_num, price_den: One tick as a fraction, quote units.
        unit_num, unit_den: One lot times the contract value as a fraction: base units, on inverse contracts quote.
        notional_num, notional_den: What `notional` multiplies and divides by, as floats.
    """

    __slots__ = (
        "_price_decimals",
        "_size_decimals",
        "contract_kind",
        "contract_value",
        "is_inverse",
        "lot_size",
        "notional_den",
        "notional_num",
        "price_den",
        "price_num",
        "tick_size",
        "unit_den",
        "unit_num",
    )

    def __init__(self, tick_size: str, lot_size: str, contract_value: str, contract_kind: ContractKind) -> None:
        tick, lot = positive_decimal(tick_size), positive_decimal(lot_size)
        unit = lot * positive_decimal(contract_value)
        self.tick_size, self.lot_size = tick_size, lot_size
        self.contract_value, self.contract_kind = contract_value, contract_kind
        self.is_inverse = contract_kind is ContractKind.INVERSE
        self.price_num, self.price_den = tick.numerator, tick.denominator
        self.unit_num, self.unit_den = unit.numerator, unit.denominator
        notional = unit if self.is_inverse else tick * unit
        self.notional_num, self.notional_den = float(notional.numerator), float(notional.denominator)
        self._price_decimals, self._size_decimals = decimals(tick_size), decimals(lot_size)

    @staticmethod
    def of(
        tick_size: str, lot_size: str, contract_value: str = "1", contract_kind: ContractKind = ContractKind.SPOT
    ) -> Grid:
        """The grid of these texts, built once.

        Args:
            tick_size: Price of one tick, decimal string.
            lot_size: Size of one lot, decimal string, in the venue's unit (base or contracts).
            contract_value: Base (inverse: quote) amount of one contract, decimal string; "1" on spot.
            contract_kind: How a size becomes a notional.

        Raises:
            InvalidNumber: a text is not a plain decimal above zero.
        """
        return _grid(tick_size, lot_size, contract_value, contract_kind)

    def price(self, ticks: float) -> float:
        """Price in quote units; of whole ticks correctly rounded."""
        return ticks * self.price_num / self.price_den

    def mid(self, bid_ticks: int, ask_ticks: int) -> float:
        """Middle of two prices in quote units, correctly rounded."""
        return (bid_ticks + ask_ticks) * self.price_num / (2 * self.price_den)

    def size(self, lots: int) -> float:
        """Lots times lot size times contract value, correctly rounded: base units, on inverse contracts quote units."""
        return lots * self.unit_num / self.unit_den

    def base_size(self, ticks: int, lots: int) -> float:
        """Size in base units of every kind of contract; inverse: quote notional / price, at a price of 0 infinite."""
        if not self.is_inverse:
            return self.size(lots)
        return self.size(lots) / self.price(ticks) if ticks else inf

    def proportional(self, ticks: int, lots: int) -> float:
        """A float proportional to base size, for ratios and sums: lots; on inverse contracts the base size itself."""
        return self.base_size(ticks, lots) if self.is_inverse else float(lots)

    def to_base(self, size: float) -> float:
        """A sum of `proportional` sizes in base units."""
        return size if self.is_inverse else size * self.unit_num / self.unit_den

    def notional(self, total: int) -> float:
        """Quote notional of an exact integer total: Σ ticks·lots; on inverse contracts Σ lots.

        The total is exact and order-independent; it becomes a float once.
        """
        return float(total) * self.notional_num / self.notional_den

    def price_text(self, ticks: int) -> str:
        """Exact price as a plain decimal, with the decimals of the tick size."""
        return _text(ticks * Decimal(self.tick_size), self._price_decimals)

    def size_text(self, lots: int) -> str:
        """Exact size as a plain decimal in the venue's own unit, with the decimals of the lot size."""
        return _text(lots * Decimal(self.lot_size), self._size_decimals)

    def matches(self, tick_size: str, lot_size: str, contract_value: str, contract_kind: ContractKind) -> bool:
        """True where a record carries this grid."""
        return (
            tick_size == self.tick_size
            and lot_size == self.lot_size
            and contract_value == self.contract_value
            and contract_kind is self.contract_kind
        )

    def __repr__(self) -> str:
        return f"Grid({self.tick_size}, {self.lot_size}, {self.contract_value}, {self.contract_kind.value})"


@lru_cache(maxsize=4096)
def _grid(tick_size: str, lot_size: str, contract_value: str, contract_kind: ContractKind) -> Grid:
    return Grid(tick_size, lot_size, contract_value, contract_kind)


def positive_decimal(text: str) -> Fraction:
    """A plain decimal above zero, exactly.

    Raises:
        InvalidNumber: a sign, an exponent, blanks, nothing, zero, or more than 20 digits on a side of the point.
    """
    if not PLAIN_DECIMAL.fullmatch(text) or not (value := Fraction(text)):
        raise InvalidNumber(f"a grid needs plain decimals above zero, not {text[:40]!r}")
    return value


def decimals(text: str) -> int:
    """Digits after the point of a plain decimal."""
    return len(text.partition(".")[2])


def _text(value: Decimal, places: int) -> str:
    return f"{value:.{places}f}"
