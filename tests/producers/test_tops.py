"""The text of the best levels that compiled code writes is the one that a venue's checksum is defined by."""

from __future__ import annotations

import zlib
from itertools import zip_longest

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orderbook.book import Book
from orderbook.decimals import SideLevels, TextGrid, plain
from orderbook.grid import Grid
from orderbook.kernel.book import CompiledBook
from orderbook.validity import TrackedBook
from producers.books.kernel.engine import CompiledDeltas
from producers.books.kernel.tops import write_tops
from producers.books.options import StreamCounters
from producers.books.quote_flow import QuoteFlow
from producers.books.records import RecordWriter
from producers.books.trades import PendingTrades
from producers.contract import DeltaForm
from producers.exchanges import EXCHANGES
from producers.messages import DepthDelta, Instrument, LevelForm
from schemas.kernel.crc32 import crc32
from schemas.messages import ContractKind, Source

STEPS = [("0.1", "1"), ("0.5", "0.001"), ("0.00000001", "100"), ("25", "0.25"), ("1", "0.000000000001")]
"""Of prices and sizes."""
SIDES = st.dictionaries(st.integers(1, 40_000), st.integers(1, 10**6), max_size=40)
SUMMED = sorted(name for name, venue in EXCHANGES.items() if venue.deltas is not None and venue.deltas.summed)


def written(book: CompiledBook, steps: tuple[str, str], count: int) -> bytes | None:
    """Write the best levels by compiled code."""
    grid = TextGrid.of(*steps)
    units = (int(step.step.replace(".", "")) for step in (grid.price, grid.size))
    price, size = zip((grid.price.decimals, grid.size.decimals), units, strict=True)
    levels, text = np.zeros(4 * count, dtype=np.int64), np.zeros(11 * count, dtype=np.int64)
    end = write_tops(book.memory, (*price, *size), levels, text, count)
    return text.tobytes()[:end] if end >= 0 else None


def turns_of(book: Book, grid: Grid, count: int) -> bytes:
    """Write the same text level by level."""
    turns = zip_longest(book.top_bids(count), book.top_asks(count))
    texts = [
        plain(text)
        for turn in turns
        for level in turn
        if level is not None
        for text in (grid.price_text(level[0]), grid.size_text(level[1]))
    ]
    return ":".join(texts).encode()


@given(steps=st.sampled_from(STEPS), bids=SIDES, asks=SIDES, count=st.integers(1, 30))
def test_best_levels_are_written_as_they_are_summed_up(
    steps: tuple[str, str], bids: dict[int, int], asks: dict[int, int], count: int
) -> None:
    book = CompiledBook()
    sides = SideLevels(list(bids), list(bids.values())), SideLevels([60_000 + key for key in asks], list(asks.values()))
    book.update(*sides[0], *sides[1])
    found = written(book, steps, count)

    assert found is None or found == turns_of(book, Grid.of(*steps, "1", ContractKind.SPOT), count)


def test_levels_near_the_best_are_written_by_compiled_code() -> None:
    book = CompiledBook()
    book.update([20_001, 20_000], [1_200, 5], [20_003], [700])

    assert written(book, ("0.5", "0.01"), 2) == b"10000.5:12:10001.5:7:10000:0.05"


@given(text=st.binary(max_size=700))
def test_compiled_sums_are_those_of_zlib(text: bytes) -> None:
    numbers = np.frombuffer(text + bytes(-len(text) % 8), dtype=np.int64)

    assert crc32(numbers, len(text)) == zlib.crc32(text)


@pytest.mark.parametrize("venue", SUMMED)
@given(bids=st.integers(0, 30), asks=st.integers(0, 30))
def test_a_venues_sum_is_that_of_the_text_that_compiled_code_sums_up(venue: str, bids: int, asks: int) -> None:
    checksum, form = EXCHANGES[venue].checksum, EXCHANGES[venue].deltas
    assert checksum is not None
    assert form is not None
    assert form.summed == checksum.levels
    best_bids = [(f"{price}.5", "2") for price in range(bids)][: form.summed]
    best_asks = [(f"{100 + price}", "0.1") for price in range(asks)][: form.summed]
    turns = zip_longest(best_bids, best_asks, fillvalue=())
    total = zlib.crc32(":".join([part for turn in turns for level in turn for part in level]).encode())

    assert checksum.of(best_bids, best_asks) == (total - 2**32 if total >= 2**31 else total)


@given(claimed=st.integers(-(2**31), 2**31 - 1), digits=st.integers(1, 99_999))
def test_an_update_with_a_checksum_is_told_with_the_sum_of_the_book_after_it(claimed: int, digits: int) -> None:
    form = DeltaForm(LevelForm.PAIRS, "b", "a", ("u",), ("t",), previous=("p",), checksum=("c",), summed=25)
    engine = CompiledDeltas(form)
    tracked, grid = TrackedBook(book=engine.book()), TextGrid.of("0.5", "0.01")
    updater = engine.updater(
        tracked, RecordWriter(Instrument("trial", "T", "0.5", "0.01"), Source.SIMULATOR, grid, epoch=3, run="r")
    )
    size = f"{digits / 100:.2f}"
    raw = b'{"s":"T","t":5,"p":7,"u":9,"c":%d,"b":[["10000.5","%s"]],"a":[["10001.0","7"]]}' % (claimed, size.encode())
    levels = [("10000.5", size)], [("10001.0", "7")]
    engine.templates.learn(raw, DepthDelta("T", 9, 9, *levels, 7, 5_000_000, checksum=claimed or None))
    template = engine.templates.find(raw)
    assert template is not None
    assert updater.take(raw, template, 7, 6, PendingTrades(StreamCounters()), QuoteFlow(None, 0)) is not None

    assert updater.checksum == (claimed or None)
    total = zlib.crc32(f"10000.5:{plain(size)}:10001:7".encode())
    assert updater.book_sum == ((total - 2**32 if total >= 2**31 else total) if claimed else None)
