"""A trial of the compiled engine on this host: a few updates of each form, held against the codec and the plain book.

It compiles every function, or loads it, so that the first real update need not wait.
"""

from __future__ import annotations

from typing import Final
from zlib import crc32

from orderbook.book import Book
from orderbook.decimals import SideLevels, TextGrid
from orderbook.validity import TrackedBook
from producers.books.kernel.engine import CompiledDeltas
from producers.books.options import StreamCounters
from producers.books.quote_flow import QuoteFlow
from producers.books.records import RecordWriter
from producers.books.trades import PendingTrades
from producers.contract import DeltaForm
from producers.messages import DepthDelta, Instrument, LevelForm
from schemas.codec import encode
from schemas.messages import Kind, Source
from schemas.units import NS_PER_MS

TEXTS: Final = {
    LevelForm.PAIRS: (b'[["10.50","1.200"],["10.40","0.000"]]', b'[["10.60","3"]]'),
    LevelForm.FOURS: (b'[["10.5","1.2","0","4"],["10.4","0","0","0"]]', b'[["10.6","3","0","1"]]'),
    LevelForm.ACTIONS: (b'[["new",10.5,1.2],["delete",10.4,0.0]]', b'[["change",10.6,3.0]]'),
}
LEVELS: Final = ([("10.5", "1.2"), ("10.4", "0")], [("10.6", "3")])
SUM: Final = crc32(b"10.5:1.2:10.6:3") - 2**32
INSTRUMENT: Final = Instrument("trial", "TRIAL", "0.1", "0.001")
NOW_NS: Final = 1_700_000_000_000_000_000
TRADE: Final = ("10.6", "0.5")


def trial() -> str:
    """Run it; say what is wrong, or nothing."""
    return "" if all(_is_right(form) for form in LevelForm) else "its records differ from the codec's"


def _is_right(form: LevelForm) -> bool:
    engine = CompiledDeltas(DeltaForm(form, "b", "a", ("u",), ("t",), previous=("p",), checksum=("c",), summed=1))
    plain = Book()
    tracked = TrackedBook(book=engine.book())
    records = RecordWriter(INSTRUMENT, Source.SIMULATOR, TextGrid.of("0.1", "0.001"), epoch=3, run="trial")
    trades = PendingTrades(StreamCounters())
    trades.add([TRADE], -1, records.grid)
    flow, ticks, lots = QuoteFlow(-7, 2), trades.ticks, trades.lots
    bids, asks, grid = records.grid.place(*LEVELS)
    plain.update(*bids, *asks)
    bids_text, asks_text = TEXTS[form]
    raw = b'{"s":"TRIAL","t":%d,"p":7,"u":9,"c":1,"b":%s,"a":%s}' % (NOW_NS // NS_PER_MS, bids_text, asks_text)
    engine.templates.learn(raw, DepthDelta("TRIAL", 9, 9, *LEVELS, 7, NOW_NS, checksum=1))
    template = engine.templates.find(raw)
    if template is None:
        return False
    updater = engine.updater(tracked, records)
    found = updater.take(raw, template, 7, NOW_NS + 5, trades, flow)
    records.exchange_ns, records.grid = NOW_NS, grid
    waiting = SideLevels(ticks, lots)
    record = records.l2(
        Kind.DELTA, 9, NOW_NS + 5, bids=bids, asks=asks, trades=waiting, previous_sequence=7, quotes=flow
    )
    is_same = tracked.book == plain and tracked.book.best_levels == plain.best_levels
    return found == encode(record) and is_same and updater.book_sum == SUM
