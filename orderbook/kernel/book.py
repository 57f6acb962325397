"""The book of `orderbook.book`, its levels in a compiled table: the same answers, without an object a level.

What a producer asks after each update is answered from the table; what it seldom asks, such as all levels by price, is
made of it when it is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from orderbook.book import Best, Book, BookSide
from orderbook.kernel.ladder import Ints, first_place
from orderbook.kernel.table import (
    BEST,
    BEST_LOTS,
    BITS,
    HEAD,
    LEVELS,
    LOW,
    PLACES,
    SIDE,
    TABLE,
    WORDS,
    has_room,
    lots_at,
    memory_for,
    set_level,
)
from schemas.kernel.compiled import compiled
from schemas.kernel.memory import address_of

BIDS: Final = 0
ASKS: Final = 1

NOT_SHOWN: Final = -1
"""There are levels beyond the window of bits."""


class CompiledBook(Book):
    """A book without a depth bound.

    Attributes:
        memory: Both sides, as `orderbook.kernel.table` lays them.
        memory_at: Its address, until levels are replaced or room is made.
    """

    __slots__ = ("_best", "_shown", "memory", "memory_at")

    def __init__(self) -> None:
        self._have(memory_for(0, 0))
        self._shown: tuple[BookSide, BookSide] | None = None
        self._best: Best | None = None

    @property
    def bids(self) -> BookSide:  # type: ignore[override] # what is asked of it seldom
        """The bids as they are now: a copy."""
        return self._sides()[BIDS]

    @property
    def asks(self) -> BookSide:  # type: ignore[override]
        """The asks as they are now: a copy."""
        return self._sides()[ASKS]

    def replace(
        self, bid_ticks: Sequence[int], bid_lots: Sequence[int], ask_ticks: Sequence[int], ask_lots: Sequence[int]
    ) -> None:
        """Take a snapshot for the whole book."""
        self._have(memory_for(len(bid_ticks), len(ask_ticks)))
        self.update(bid_ticks, bid_lots, ask_ticks, ask_lots)

    def update(
        self, bid_ticks: Sequence[int], bid_lots: Sequence[int], ask_ticks: Sequence[int], ask_lots: Sequence[int]
    ) -> None:
        """Apply one delta: absolute sizes, 0 removes."""
        self.make_room(len(bid_ticks), len(ask_ticks))
        bids = np.array([bid_ticks, bid_lots], dtype=np.int64)
        asks = np.array([ask_ticks, ask_lots], dtype=np.int64)
        set_levels(self.memory, BIDS, bids)
        set_levels(self.memory, ASKS, asks)
        self.note_change()

    def make_room(self, bids: int, asks: int) -> None:
        """Have room for so many levels more."""
        memory = self.memory
        if has_room(memory, BIDS, bids) and has_room(memory, ASKS, asks):
            return
        larger = memory_for(self.bid_levels + bids, self.ask_levels + asks)
        move_levels(memory, larger)
        self._have(larger)

    def _have(self, memory: Ints) -> None:
        self.memory: Ints = memory
        self.memory_at = address_of(memory)

    def note_change(self) -> None:
        """Take note that compiled code has changed the levels."""
        self._shown = self._best = None

    @property
    def best_bid(self) -> int | None:
        """Highest bid in ticks, None without bids."""
        return self.best_levels[0]

    @property
    def best_ask(self) -> int | None:
        """Lowest ask in ticks, None without asks."""
        return self.best_levels[2]

    @property
    def best_levels(self) -> Best:
        """Best bid, its lots, best ask, its lots; None where a side is empty."""
        if self._best is None:
            self._best = self._read_best()
        return self._best

    def _read_best(self) -> Best:
        return as_best(*best_of(self.memory))

    @property
    def bid_levels(self) -> int:
        """Number of bid levels."""
        return int(self.memory[BIDS * SIDE + LEVELS])

    @property
    def ask_levels(self) -> int:
        """Number of ask levels."""
        return int(self.memory[ASKS * SIDE + LEVELS])

    @property
    def evicted(self) -> int:
        """None: there is no bound."""
        return 0

    @property
    def is_crossed(self) -> bool:
        """True where the best bid is above the best ask; equal is locked, not crossed."""
        bid, _, ask, _ = self.best_levels
        return bid is not None and ask is not None and bid > ask

    def top_bids(self, count: int) -> list[tuple[int, int]]:
        """The best bids as (ticks, lots), best first."""
        return [(-key, lots) for key, lots in self._top(BIDS, count)]

    def top_asks(self, count: int) -> list[tuple[int, int]]:
        """The best asks as (ticks, lots), best first."""
        return self._top(ASKS, count)

    def arrays(self) -> tuple[list[int], list[int], list[int], list[int]]:
        """All levels as a snapshot record carries them: bid ticks, bid lots, ask ticks, ask lots, best first."""
        bids, asks = (sorted_levels(self.memory, side) for side in (BIDS, ASKS))
        return (-bids[0]).tolist(), bids[1].tolist(), asks[0].tolist(), asks[1].tolist()

    def _top(self, side: int, count: int) -> list[tuple[int, int]]:
        nearest = np.empty(2 * count, dtype=np.int64)
        found = nearest_levels(self.memory, side, nearest, 0, count)
        if found != NOT_SHOWN:
            keys, lots = nearest[: 2 * found : 2], nearest[1 : 2 * found : 2]
        else:
            keys, lots = (values[:count] for values in sorted_levels(self.memory, side))
        return list(zip(keys.tolist(), lots.tolist(), strict=True))

    def _sides(self) -> tuple[BookSide, BookSide]:
        if self._shown is None:
            bids, asks = BookSide(is_bid=True), BookSide(is_bid=False)
            bid_ticks, bid_lots, ask_ticks, ask_lots = self.arrays()
            bids.replace(bid_ticks, bid_lots)
            asks.replace(ask_ticks, ask_lots)
            self._shown = bids, asks
        return self._shown


def as_best(bids: int, bid_key: int, bid_lots: int, asks: int, ask_key: int, ask_lots: int) -> Best:
    """What `best_of` tells, in ticks and lots."""
    if bids and asks:
        return -bid_key, bid_lots, ask_key, ask_lots
    return (-bid_key, bid_lots, None, None) if bids else (None, None, *((ask_key, ask_lots) if asks else (None, None)))


@compiled
def set_levels(memory: Ints, side: int, levels: Ints) -> None:
    """Set sizes: a row of prices and one of sizes."""
    for i in range(levels.shape[1]):
        set_level(memory, side, levels[0, i] if side else -levels[0, i], levels[1, i])


@compiled
def best_of(memory: Ints) -> tuple[int, int, int, int, int, int]:
    """How many bids, key and lots of the best one; the same of asks."""
    return (
        memory[LEVELS],
        memory[BEST],
        memory[BEST_LOTS],
        memory[SIDE + LEVELS],
        memory[SIDE + BEST],
        memory[SIDE + BEST_LOTS],
    )


@compiled
def nearest_levels(memory: Ints, side: int, out: Ints, at: int, count: int) -> int:
    """Write key and size of the best levels of a side in turns; how many, or NOT_SHOWN where the window shows fewer."""
    head, found = side * SIDE, 0
    wanted = min(count, memory[head + LEVELS])
    if wanted == 0:
        return 0
    low = memory[head + LOW]
    for word in range((memory[head + BEST] - low) >> BITS, WORDS):
        bits = memory[head + HEAD + word]
        while bits and found < wanted:
            key = low + (word << BITS) + first_place(bits)
            out[at + 2 * found], out[at + 2 * found + 1] = key, lots_at(memory, side, key)
            bits, found = bits & (bits - 1), found + 1
        if found == wanted:
            return found
    return NOT_SHOWN


@compiled
def move_levels(before: Ints, after: Ints) -> None:
    """Set all levels of one memory in another one, which is empty."""
    for side in range(2):
        start = before[side * SIDE + TABLE]
        for place in range(start, start + 2 * before[side * SIDE + PLACES], 2):
            if before[place + 1]:
                set_level(after, side, before[place], before[place + 1])


def sorted_levels(memory: Ints, side: int) -> tuple[Ints, Ints]:
    """Keys and sizes of all levels of a side, best first."""
    start, places = (int(memory[side * SIDE + which]) for which in (TABLE, PLACES))
    keys, lots = memory[start : start + 2 * places : 2], memory[start + 1 : start + 2 * places : 2]
    held = lots != 0
    keys, lots = keys[held], lots[held]
    order = keys.argsort()
    return keys[order], lots[order]
