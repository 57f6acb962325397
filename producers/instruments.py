"""Instruments, and decimal text onto their grid: exact integers, never rounded.

A venue writes prices and sizes as plain decimals. `Steps` turns one into a whole number of steps (ticks or lots), or
says that it is finer than the grid, which is legal: real books hold old orders finer than today's step, and the
producer then moves to a finer grid. Anything else (a sign, an exponent, a space, NaN, beyond int64) is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import NamedTuple, cast

from schemas.errors import InvalidNumber
from schemas.messages import ContractKind

INT64_MAX = 2**63 - 1
MAX_TEXT = 40
MAX_DECIMALS = 20
"""Of a grid: what `orderbook.grid` reads."""
"""Longest decimal that is read: 19 digits each side of the point and room for padding."""
MAX_SCANNED_DECIMALS = 12
"""A recording's grid is never scanned finer: one absurd value would push every real price beyond int64."""
CACHED_TEXTS = 8_192
"""A book repeats its prices and sizes; this many are remembered before the memory starts afresh."""

_PLAIN = re.compile(r"([0-9]+)(?:\.([0-9]+))?")

Levels = Sequence[tuple[str, str]]
"""Price and size as the venue wrote them."""


class Instrument(NamedTuple):
    """One instrument of one venue.

    Attributes:
        venue: Exchange id.
        symbol: The venue's own symbol.
        tick_size, lot_size: The grid, decimal strings without trailing zeros.
        canonical: Name shared by venues (`BTC-USDT-PERP`: base, quote, kind); empty where no instrument list told.
        contract_value: Amount of one contract, decimal string; "1" where sizes are in base units.
        contract_kind: How a size becomes a notional.
    """

    venue: str
    symbol: str
    tick_size: str
    lot_size: str
    canonical: str = ""
    contract_value: str = "1"
    contract_kind: ContractKind = ContractKind.SPOT


class Steps:
    """Decimal text as whole steps of one size.

    Args:
        step: Step size, a plain decimal above zero ("0.10", "0.5", "5").

    Raises:
        InvalidNumber: The step itself is not a plain decimal above zero.
    """

    def __init__(self, step: str) -> None:
        self.step = plain(step)
        self.decimals = decimals(self.step)
        self._units_a_step = int(self.step.replace(".", ""))
        if not self._units_a_step:
            raise InvalidNumber(f"a step of {step!r} is no grid")
        self._known: dict[str, int | None] = {}

    def count(self, text: str) -> int | None:
        """How many steps `text` is, or None where it lies between two of them.

        Raises:
            InvalidNumber: `text` is not a plain decimal, or its count is beyond int64.
        """
        try:
            return self._known[text]
        except KeyError:
            if len(self._known) >= CACHED_TEXTS:
                self._known.clear()
            steps = self._known[text] = self._count(text)
            return steps

    def _count(self, text: str) -> int | None:
        whole, fraction = _parts(text)
        fraction = fraction.rstrip("0")
        if len(fraction) > self.decimals:
            return None
        steps, between = divmod(int(whole + fraction.ljust(self.decimals, "0")), self._units_a_step)
        if between:
            return None
        if steps > INT64_MAX:
            raise InvalidNumber(f"{text} is beyond int64 in steps of {self.step}")
        return steps


class SideLevels(NamedTuple):
    """Levels of one side on the grid, as parallel arrays."""

    ticks: list[int]
    lots: list[int]


class TextGrid(NamedTuple):
    """Both grids of an instrument, for text on its way in."""

    price: Steps
    size: Steps

    @classmethod
    def of(cls, tick_size: str, lot_size: str) -> TextGrid:
        """The grid with these step sizes."""
        return cls(Steps(tick_size), Steps(lot_size))

    def levels(self, levels: Levels) -> SideLevels | None:
        """The levels in ticks and lots, or None where one of them is finer than the grid.

        Raises:
            InvalidNumber: One of the numbers may not be used at all.
        """
        price, size = self.price.count, self.size.count
        # Both arrays whole before either is judged: a bad number after a fine one must still be refused.
        ticks = [price(level[0]) for level in levels]
        lots = [size(level[1]) for level in levels]
        if None in ticks or None in lots:
            return None
        return SideLevels(cast("list[int]", ticks), cast("list[int]", lots))

    def refined(self, levels: Levels) -> TextGrid:
        """The coarsest grid on which these levels and everything on this grid lie: a power of ten where it changes.

        Raises:
            InvalidNumber: One of the numbers may not be used at all.
        """
        tick, lot = self.price.step, self.size.step
        if any(self.price.count(price) is None for price, _ in levels):
            tick = power_of_ten(max(self.price.decimals, *(decimals(price) for price, _ in levels)))
        if any(self.size.count(size) is None for _, size in levels):
            lot = power_of_ten(max(self.size.decimals, *(decimals(size) for _, size in levels)))
        return TextGrid.of(tick, lot)

    def scale_to(self, finer: TextGrid) -> Scale:
        """What ticks and lots of this grid are multiplied by to lie on a finer one."""
        return Scale(
            int(Fraction(self.price.step) / Fraction(finer.price.step)),
            int(Fraction(self.size.step) / Fraction(finer.size.step)),
        )


class Scale(NamedTuple):
    """Whole factors from one grid to a finer one."""

    ticks: int
    lots: int

    def levels(self, levels: SideLevels) -> SideLevels:
        """The same levels on the finer grid.

        Raises:
            InvalidNumber: One of them is beyond int64 there.
        """
        scaled = SideLevels([tick * self.ticks for tick in levels.ticks], [lot * self.lots for lot in levels.lots])
        if any(abs(number) > INT64_MAX for number in (*scaled.ticks, *scaled.lots)):
            raise InvalidNumber("a level is beyond int64 on the grid that a finer number asks for")
        return scaled


def plain(text: str) -> str:
    """The same number without trailing zeros: "0.10" is "0.1", "5.000" is "5".

    Raises:
        InvalidNumber: Not a plain decimal.
    """
    whole, fraction = _parts(text)
    fraction = fraction.rstrip("0")
    whole = whole.lstrip("0") or "0"
    return f"{whole}.{fraction}" if fraction else whole


def decimals(text: str) -> int:
    """Digits after the point, trailing zeros stripped.

    Raises:
        InvalidNumber: Not a plain decimal.
    """
    return len(_parts(text)[1].rstrip("0"))


def power_of_ten(places: int) -> str:
    """10^-places as a decimal string."""
    return "0." + "0" * (places - 1) + "1" if places else "1"


class FinestGrid:
    """The finest grid of all levels and trades seen: for recordings that hold no instrument list."""

    def __init__(self) -> None:
        self._price = 0
        self._size = 0

    def add(self, levels: Iterable[tuple[str, str]]) -> None:
        """Look at these prices and sizes. Numbers that may not be used at all are passed over; replay refuses them."""
        for price, size in levels:
            self._price = max(self._price, self._places(price))
            self._size = max(self._size, self._places(size))

    def include(self, other: FinestGrid) -> None:
        """Look at everything another one has seen."""
        self._price = max(self._price, other._price)
        self._size = max(self._size, other._size)

    @property
    def tick_size(self) -> str:
        """One tick, a power of ten."""
        return power_of_ten(self._price)

    @property
    def lot_size(self) -> str:
        """One lot, a power of ten."""
        return power_of_ten(self._size)

    def _places(self, text: str) -> int:
        match = _PLAIN.fullmatch(text) if len(text) <= MAX_TEXT else None
        places = len((match[2] or "").rstrip("0")) if match else 0
        return places if places <= MAX_SCANNED_DECIMALS else 0


def finest_grid(levels: Iterable[tuple[str, str]]) -> tuple[str, str]:
    """Tick and lot size of the finest power-of-ten grid on which all these prices and sizes lie."""
    grid = FinestGrid()
    grid.add(levels)
    return grid.tick_size, grid.lot_size


def _parts(text: str) -> tuple[str, str]:
    match = _PLAIN.fullmatch(text) if len(text) <= MAX_TEXT else None
    if match is None:
        raise InvalidNumber(f"{text[:MAX_TEXT]!r} is not a plain decimal")
    if len((match[2] or "").rstrip("0")) > MAX_DECIMALS:
        raise InvalidNumber(f"{text[:MAX_TEXT]!r} has more than {MAX_DECIMALS} decimals")
    return match[1], match[2] or ""
