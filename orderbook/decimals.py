"""Decimal text onto a grid: exact integers, never rounded.

A venue writes prices and sizes as plain decimals. `Steps` turns one into a whole number of steps (ticks or lots), or
says that it is finer than the grid, which is legal: real books hold old orders finer than today's step, and a level
like that moves the book to a finer grid, as long as the grid still has room above the book. A trade or a best quote
never does. Anything else (a sign, an exponent, a space, NaN, beyond int64) is refused.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple, cast

from schemas.errors import InvalidNumber

INT64_MAX = 2**63 - 1
HEADROOM = 10_000
"""A book moves to a finer grid only where numbers so many times its farthest level still are int64 there: else one
absurd level would push the next real ones out of range."""
FARTHEST = INT64_MAX // HEADROOM
"""Most steps of a level on a grid that a book moved to."""
FARTHEST_DIGITS = 14
"""Digits of a number that is below `FARTHEST` whatever they are: what a scan of a recording counts with."""
RARE = 100
"""Of a recording's trades what fewer than one in so many needs does not set its grid."""
MAX_TEXT = 40
"""Longest decimal that is read: 19 digits each side of the point and room for padding."""
MAX_DECIMALS = 20
"""Of a grid: what `orderbook.grid` reads."""
CACHED_TEXTS = 8_192
"""A book repeats its prices and sizes; this many are remembered before the memory starts afresh."""

_PLAIN = re.compile(r"([0-9]+)(?:\.([0-9]+))?")

Levels = Sequence[tuple[str, str]]
"""Price and size as the venue wrote them."""


class Steps:
    """Decimal text as whole steps of one size.

    Args:
        step: Step size, a plain decimal above zero ("0.10", "0.5", "5").

    Attributes:
        known: Counts by text, as far as they are remembered: what `count` gives, without a call.

    Raises:
        InvalidNumber: The step itself is not a plain decimal above zero.
    """

    def __init__(self, step: str) -> None:
        self.step = plain(step)
        self.decimals = decimals(self.step)
        self._units_a_step = int(self.step.replace(".", ""))
        if not self._units_a_step:
            raise InvalidNumber(f"a step of {step!r} is no grid")
        self.known: dict[str, int | None] = {}

    def count(self, text: str) -> int | None:
        """Count the steps that `text` is, or give None where it lies between two of them.

        Raises:
            InvalidNumber: `text` is not a plain decimal, or its count is beyond int64.
        """
        try:
            return self.known[text]
        except KeyError:
            if len(self.known) >= CACHED_TEXTS:
                self.known.clear()
            steps = self.known[text] = self._count(text)
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
        """Make the grid with these step sizes."""
        return cls(Steps(tick_size), Steps(lot_size))

    def levels(self, levels: Levels) -> SideLevels | None:
        """Place levels in ticks and lots, or give None where one of them is finer than the grid.

        Raises:
            InvalidNumber: One of the numbers may not be used at all.
        """
        prices, sizes = self.price.known, self.size.known
        try:  # most are remembered, and a call for each would be most of what they cost
            ticks = [prices[level[0]] for level in levels]
            lots = [sizes[level[1]] for level in levels]
        except KeyError:
            price, size = self.price.count, self.size.count
            # Both arrays whole before either is judged: a bad number after a fine one must still be refused.
            ticks = [price(level[0]) for level in levels]
            lots = [size(level[1]) for level in levels]
        if None in ticks or None in lots:
            return None
        return SideLevels(cast("list[int]", ticks), cast("list[int]", lots))

    def require(self, bid: str, bid_size: str, ask: str, ask_size: str) -> None:
        """Look at the numbers of a best quote, which need not lie on the grid.

        Raises:
            InvalidNumber: One of them may not be used at all.
        """
        prices, sizes = self.price.known, self.size.known
        if bid in prices and ask in prices and bid_size in sizes and ask_size in sizes:
            return
        self.levels([(bid, bid_size), (ask, ask_size)])

    def place(self, bids: Levels, asks: Levels = ()) -> Placed:
        """Where levels lie: on this grid, or on the coarsest finer one that holds them all.

        Raises:
            InvalidNumber: One of the numbers may not be used at all, or they lie on no common grid within int64.
        """
        placed_bids, placed_asks, grid = self.levels(bids), self.levels(asks) if asks else SideLevels([], []), self
        if placed_bids is None or placed_asks is None:
            grid = self.refined([*bids, *asks])
            placed_bids, placed_asks = grid.levels(bids), grid.levels(asks)
            if placed_bids is None or placed_asks is None:
                raise InvalidNumber("levels that lie on no common grid")
        return Placed(placed_bids, placed_asks, grid)

    def refined(self, levels: Levels) -> TextGrid:
        """Find the coarsest grid for these levels and everything on this grid: a power of ten where it changes.

        Raises:
            InvalidNumber: One of the numbers may not be used at all.
        """
        return TextGrid(
            _refined(self.price, [price for price, _ in levels]), _refined(self.size, [size for _, size in levels])
        )

    def scale_to(self, finer: TextGrid) -> Scale:
        """Tell what ticks and lots of this grid are multiplied by to lie on a finer one."""
        return Scale(
            int(Fraction(self.price.step) / Fraction(finer.price.step)),
            int(Fraction(self.size.step) / Fraction(finer.size.step)),
        )


def _refined(steps: Steps, texts: Sequence[str]) -> Steps:
    if all(steps.count(text) is not None for text in texts):
        return steps
    return Steps(power_of_ten(max(steps.decimals, *map(decimals, texts))))


class Placed(NamedTuple):
    """Levels in ticks and lots, and the grid they are on."""

    bids: SideLevels
    asks: SideLevels
    grid: TextGrid


class Scale(NamedTuple):
    """Whole factors from one grid to a finer one."""

    ticks: int
    lots: int

    def levels(self, levels: SideLevels) -> SideLevels:
        """Place the same levels on the finer grid.

        Raises:
            InvalidNumber: One of them is beyond int64 there.
        """
        scaled = SideLevels([tick * self.ticks for tick in levels.ticks], [lot * self.lots for lot in levels.lots])
        if any(abs(number) > INT64_MAX for number in (*scaled.ticks, *scaled.lots)):
            raise InvalidNumber("a level is beyond int64 on the grid that a finer number asks for")
        return scaled

    def within_int64(self, trades: SideLevels) -> SideLevels:
        """Place the same trades on the finer grid, without those that are beyond int64 there."""
        pairs = zip(trades.ticks, trades.lots, strict=True)
        kept = [pair for pair in pairs if max(pair[0] * self.ticks, abs(pair[1] * self.lots)) <= INT64_MAX]
        return self.levels(SideLevels([tick for tick, _ in kept], [lot for _, lot in kept]))


def require_headroom(before: TextGrid, after: TextGrid, *sides: SideLevels) -> None:
    """Refuse a finer grid that leaves less than `HEADROOM` of int64 above the levels on it.

    Args:
        before: The grid as it was.
        after: The finer one; a step that stays as it was needs no room.
        sides: Everything that is to lie on `after`.

    Raises:
        InvalidNumber: Too little room.
    """
    ticks = max((tick for side in sides for tick in side.ticks), default=0)
    lots = max((lot for side in sides for lot in side.lots), default=0)
    for what, old, new, farthest in (
        ("prices", before.price, after.price, ticks),
        ("sizes", before.size, after.size, lots),
    ):
        if new.step != old.step and farthest > FARTHEST:
            raise InvalidNumber(f"{what} in steps of {new.step} leave no room above the book's farthest level")


def plain(text: str) -> str:
    """Strip a number's trailing zeros: "0.10" is "0.1", "5.000" is "5".

    Raises:
        InvalidNumber: Not a plain decimal.
    """
    whole, fraction = _parts(text)
    fraction = fraction.rstrip("0")
    whole = whole.lstrip("0") or "0"
    return f"{whole}.{fraction}" if fraction else whole


def plain_signed(text: str) -> str:
    """Strip the trailing zeros of a number that may be negative: "-0.00010" is "-0.0001", "-0.0" is "0".

    Raises:
        InvalidNumber: Not a plain decimal, with or without a minus before it.
    """
    number = plain(text.removeprefix("-"))
    return f"-{number}" if text.startswith("-") and number != "0" else number


def decimals(text: str) -> int:
    """Count the digits after the point, trailing zeros stripped.

    Raises:
        InvalidNumber: Not a plain decimal.
    """
    return len(_parts(text)[1].rstrip("0"))


def power_of_ten(places: int) -> str:
    """Write 10^-places as a decimal string."""
    return "0." + "0" * (places - 1) + "1" if places else "1"


class FinestGrid:
    """The finest grid that the numbers of a recording need: for recordings that hold no instrument list.

    A grid serves a number that it holds exactly with `HEADROOM` above it. Of the powers of ten that serve most levels,
    then most trades, it is the coarsest: no absurd number, too fine or too far, can push the real ones out of range. Of
    the trades only what one in `RARE` needs is looked at, since a trade moves no grid: a rare one that is finer is
    exact on its own. A level that is finer is for the replay to judge.
    """

    def __init__(self) -> None:
        self._prices = _Numbers()
        self._sizes = _Numbers()

    def add(self, levels: Levels) -> None:
        """Look at these levels. Numbers that may not be used at all are passed over; the replay refuses them."""
        self._prices.of_levels.update([_shape(price) for price, _ in levels])
        self._sizes.of_levels.update([_shape(size) for _, size in levels])

    def add_trade(self, price: str, size: str) -> None:
        """Look at a trade."""
        self._prices.of_trades[_shape(price)] += 1
        self._sizes.of_trades[_shape(size)] += 1

    def include(self, other: FinestGrid) -> None:
        """Look at everything another one has seen."""
        self._prices.include(other._prices)
        self._sizes.include(other._sizes)

    @property
    def tick_size(self) -> str:
        """One tick, a power of ten."""
        return power_of_ten(self._prices.decimals)

    @property
    def lot_size(self) -> str:
        """One lot, a power of ten."""
        return power_of_ten(self._sizes.decimals)


class _NumberShape(NamedTuple):
    """Digits of a number before and after the point, padding apart."""

    whole: int
    decimals: int


_NO_NUMBER = _NumberShape(MAX_TEXT, MAX_TEXT)
"""More digits than any grid serves."""


def _shape(text: str) -> _NumberShape:
    return _shape_of_short(text) if len(text) <= MAX_TEXT else _NO_NUMBER


@lru_cache(maxsize=CACHED_TEXTS)
def _shape_of_short(text: str) -> _NumberShape:
    match = _PLAIN.fullmatch(text)
    if match is None:
        return _NO_NUMBER
    return _NumberShape(len(match[1].lstrip("0")), len((match[2] or "").rstrip("0")))


class _Numbers:
    """The shapes of all prices, or of all sizes, and how many decimals serve them best."""

    def __init__(self) -> None:
        self.of_levels: Counter[_NumberShape] = Counter()
        self.of_trades: Counter[_NumberShape] = Counter()

    def include(self, other: _Numbers) -> None:
        self.of_levels.update(other.of_levels)
        self.of_trades.update(other.of_trades)

    @property
    def decimals(self) -> int:
        trades = _common(self.of_trades)
        # The first, the coarsest, of those that serve as many.
        return max(
            range(FARTHEST_DIGITS + 1), key=lambda places: (_served(self.of_levels, places), _served(trades, places))
        )


def _common(shapes: Counter[_NumberShape]) -> Counter[_NumberShape]:
    """Without the numbers whose decimals fewer than one in `RARE` needs."""
    total = shapes.total()
    needing = {
        places: sum(count for shape, count in shapes.items() if shape.decimals >= places)
        for places in {shape.decimals for shape in shapes}
    }
    return Counter({shape: count for shape, count in shapes.items() if needing[shape.decimals] * RARE >= total})


def _served(shapes: Counter[_NumberShape], places: int) -> int:
    return sum(
        count for shape, count in shapes.items() if shape.decimals <= places and shape.whole + places <= FARTHEST_DIGITS
    )


def _parts(text: str) -> tuple[str, str]:
    match = _PLAIN.fullmatch(text) if len(text) <= MAX_TEXT else None
    if match is None:
        raise InvalidNumber(f"{text[:MAX_TEXT]!r} is not a plain decimal")
    if len((match[2] or "").rstrip("0")) > MAX_DECIMALS:
        raise InvalidNumber(f"{text[:MAX_TEXT]!r} has more than {MAX_DECIMALS} decimals")
    return match[1], match[2] or ""
