"""The text of the best levels that compiled code writes is the one that a venue's checksum is defined by."""

from __future__ import annotations

from itertools import zip_longest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orderbook.book import Book
from orderbook.decimals import SideLevels, TextGrid, plain
from orderbook.grid import Grid
from orderbook.validity import TrackedBook
from producers.books.kernel.engine import CompiledDeltas, CompiledUpdater
from producers.books.options import StreamCounters
from producers.books.quote_flow import QuoteFlow
from producers.books.records import RecordWriter
from producers.books.trades import PendingTrades
from producers.contract import DeltaForm
from producers.exchanges import EXCHANGES
from producers.messages import DepthDelta, Instrument, LevelForm
from schemas.messages import ContractKind, Source

STEPS = [("0.1", "1"), ("0.5", "0.001"), ("0.00000001", "100"), ("25", "0.25"), ("1", "0.000000000001")]
"""Of prices and sizes."""
SIDES = st.dictionaries(st.integers(1, 40_000), st.integers(1, 10**6), max_size=40)
SUMMED = {name: venue.checksum for name, venue in EXCHANGES.items() if venue.checksum is not None}


def updater_of(tick: str, lot: str) -> tuple[TrackedBook, CompiledUpdater]:
    """Have what takes updates of an instrument, after one without levels."""
    engine = CompiledDeltas(DeltaForm(LevelForm.PAIRS, "b", "a", ("u",), ("t",), previous=("p",)))
    tracked = TrackedBook(book=engine.book())
    records = RecordWriter(
        Instrument("trial", "T", tick, lot), Source.SIMULATOR, TextGrid.of(tick, lot), epoch=3, run="r"
    )
    updater = engine.updater(tracked, records)
    raw = b'{"s":"T","t":5,"p":7,"u":9,"b":[],"a":[]}'
    engine.templates.learn(raw, DepthDelta("T", 9, 9, [], [], 7, 5_000_000))
    template = engine.templates.find(raw)
    assert template is not None
    assert updater.take(raw, template, 7, 6, PendingTrades(StreamCounters()), QuoteFlow(None, 0)) is not None
    return tracked, updater


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
    tracked, updater = updater_of(*steps)
    sides = SideLevels(list(bids), list(bids.values())), SideLevels([60_000 + key for key in asks], list(asks.values()))
    tracked.book.update(*sides[0], *sides[1])
    written = updater.top_turns(count)

    assert written is None or written == turns_of(tracked.book, Grid.of(*steps, "1", ContractKind.SPOT), count)


def test_levels_near_the_best_are_written_by_compiled_code() -> None:
    tracked, updater = updater_of("0.5", "0.01")
    tracked.book.update([20_001, 20_000], [1_200, 5], [20_003], [700])

    assert updater.top_turns(2) == b"10000.5:12:10001.5:7:10000:0.05"


@pytest.mark.parametrize("venue", sorted(SUMMED))
@given(bids=st.integers(0, 30), asks=st.integers(0, 30))
def test_a_venues_sum_of_that_text_is_its_sum_of_the_levels(venue: str, bids: int, asks: int) -> None:
    checksum = SUMMED[venue]
    assert checksum.of_turns is not None
    most = checksum.levels
    best_bids = [(f"{price}.5", "2") for price in range(bids)][:most]
    best_asks = [(f"{100 + price}", "0.1") for price in range(asks)][:most]
    turns = zip_longest(best_bids, best_asks, fillvalue=())
    text = ":".join([part for turn in turns for level in turn for part in level]).encode()

    assert checksum.of_turns(text) == checksum.of(best_bids, best_asks)
