"""Rebuild every book of a recording and report its quality."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypedDict

from orderbook.validity import TrackedBook
from producers.books.beside import known_bps
from producers.books.stream import InstrumentStream
from producers.recordings.reader import RecordingReplay, ReplayStep
from schemas.units import NS_PER_SECOND

TOP = 5
"""Levels a side that are reported."""

Level = tuple[str, str]
"""Price and size as decimal strings."""


class BookReport(TypedDict):
    """One instrument at the end of a recording, and what happened on the way.

    Attributes:
        state: AWAITING_SNAPSHOT, LIVE or INVALID.
        reason: Why it is not LIVE; null where it is, or where nothing went wrong.
        snapshots: Snapshots of the recording that made the book LIVE.
        deltas_applied, deltas_dropped, duplicates, gaps, crossed, checksums_ok, checksums_bad: As counted by
            `producers.books.options.StreamCounters`.
        went_beyond, contradicted, comparisons, levels_compared, levels_wrong: The same.
        bid_known_bps, ask_known_bps: How far from mid each side is known at the end; null where all of it is.
        quotes_checked, quotes_wrong: Updates compared with the venue's own best quote, and those that differed.
        last_sequence: Sequence of the last update applied; null before the first snapshot.
        bid_levels, ask_levels: Size of the book; of one that is INVALID the last known.
        best_bids, best_asks: Its first levels, best first.
    """

    state: str
    reason: str | None
    snapshots: int
    deltas_applied: int
    deltas_dropped: int
    duplicates: int
    gaps: int
    crossed: int
    checksums_ok: int
    checksums_bad: int
    went_beyond: int
    contradicted: int
    comparisons: int
    levels_compared: int
    levels_wrong: int
    bid_known_bps: float | None
    ask_known_bps: float | None
    quotes_checked: int
    quotes_wrong: int
    last_sequence: int | None
    bid_levels: int
    ask_levels: int
    best_bids: list[Level]
    best_asks: list[Level]


class RecordingReport(TypedDict):
    """A whole recording.

    Attributes:
        venue: Exchange id.
        seconds: Received time from the first line to the last.
        messages: Frames, whatever became of them.
        rejected: Frames that could not be used, by reason.
        instruments: By symbol.
        problems: Why it is not well, a sentence each; none where every book is right and LIVE at the end.
    """

    venue: str
    seconds: float
    messages: int
    rejected: dict[str, int]
    instruments: dict[str, BookReport]
    problems: list[str]


def verify(
    replay: RecordingReplay, watch: Callable[[Iterable[ReplayStep]], Iterable[ReplayStep]] = iter
) -> RecordingReport:
    """Replay a recording to its end and report, its lines going through `watch`. Errors as of `RecordingReplay`."""
    for _ in watch(replay):
        pass
    found, router = replay.found, replay.router
    books = {symbol: report_book(stream) for symbol, stream in sorted(router.streams.items())}
    return RecordingReport(
        venue=router.exchange.venue,
        seconds=round((found.last_ns - found.first_ns) / NS_PER_SECOND, 3),
        messages=router.frames,
        rejected=dict(sorted(router.rejected.items())),
        instruments=books,
        problems=problems_of(books),
    )


def problems_of(books: Mapping[str, BookReport]) -> list[str]:
    """Why a recording is not well, a sentence each."""
    if not books:
        return ["it holds no book"]
    return [f"{symbol}: {wrong}" for symbol, found in books.items() for wrong in _wrongs(found)]


def _wrongs(found: BookReport) -> Iterator[str]:
    if found["state"] != "LIVE":
        yield f"{found['state']} at the end" + (f" ({found['reason']})" if found["reason"] else "")
    if found["quotes_wrong"]:
        yield f"{found['quotes_wrong']} of {found['quotes_checked']} best quotes are not the book's"
    if found["levels_wrong"]:
        yield f"{found['levels_wrong']} of {found['levels_compared']} levels are not the venue's"
    if found["checksums_bad"]:
        yield f"{found['checksums_bad']} checksums are wrong"


def report_book(stream: InstrumentStream) -> BookReport:
    """One instrument as it is now."""
    tracked, counters = stream.tracked, stream.counters
    bids, asks = top_levels(tracked, TOP)
    below, above = known_bps(tracked)
    return BookReport(
        state=tracked.validity.value.upper(),
        reason=stream.reason.value if stream.reason else None,
        snapshots=counters.snapshots,
        deltas_applied=counters.deltas_applied,
        deltas_dropped=counters.deltas_dropped,
        duplicates=counters.duplicates,
        gaps=counters.gaps,
        crossed=counters.crossed,
        checksums_ok=counters.checksums_ok,
        checksums_bad=counters.checksums_bad,
        went_beyond=counters.went_beyond,
        contradicted=counters.contradicted,
        comparisons=counters.comparisons,
        levels_compared=counters.levels_compared,
        levels_wrong=counters.levels_wrong,
        bid_known_bps=below,
        ask_known_bps=above,
        quotes_checked=stream.quotes.checked,
        quotes_wrong=stream.quotes.wrong,
        last_sequence=tracked.sequence if tracked.grid else None,
        bid_levels=tracked.book.bid_levels,
        ask_levels=tracked.book.ask_levels,
        best_bids=bids,
        best_asks=asks,
    )


def top_levels(tracked: TrackedBook, count: int) -> tuple[list[Level], list[Level]]:
    """The `count` best bids and asks as decimal strings, best first."""
    grid = tracked.grid
    if grid is None:
        return [], []
    bids = [(grid.price_text(ticks), grid.size_text(lots)) for ticks, lots in tracked.book.top_bids(count)]
    asks = [(grid.price_text(ticks), grid.size_text(lots)) for ticks, lots in tracked.book.top_asks(count)]
    return bids, asks
