"""One stream of frames through two routers, record by record and compiled: all that they tell is compared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from producers.books.kernel.engine import CompiledDeltas
from producers.books.options import StreamOptions
from producers.books.records import EncodedDelta, payload_of
from producers.books.router import FrameRouter
from producers.books.stream import InstrumentStream
from producers.contract import FrameReader
from producers.exchanges import EXCHANGES
from producers.messages import Frame, Instrument
from producers.recordings.opened import open_recording
from producers.recordings.reader import scan


class BothPaths:
    """Two producers of the same instruments.

    Attributes:
        quick: Updates that the compiled engine took.
    """

    def __init__(
        self, reader: FrameReader, instruments: Mapping[str, Instrument], options: StreamOptions | None = None
    ) -> None:
        self.options = options or StreamOptions(epoch_floor=1)
        self.checked = FrameRouter(reader, instruments, self.options)
        self.fast = FrameRouter(reader, instruments, self.options, engine=CompiledDeltas)
        self.quick = 0

    def feed(self, frames: Iterable[Frame]) -> None:
        """Hand both every frame, and compare what each gives."""
        for frame in frames:
            checked, fast = self.checked.handle(frame), self.fast.handle(frame)
            assert [payload_of(record) for record in fast.records] == [payload_of(one) for one in checked.records], (
                frame
            )
            assert fast.notices == checked.notices
            plain = [one.record() if isinstance(one, EncodedDelta) else one for one in fast.records]
            assert plain == checked.records
            self.quick += sum(isinstance(record, EncodedDelta) for record in fast.records)

    def compare(self) -> None:
        """Compare what both have counted, and their books."""
        for router in (self.checked, self.fast):
            for stream in router.streams.values():
                stream.quotes.finish()
        assert counted(self.fast) == counted(self.checked)
        for symbol, stream in self.checked.streams.items():
            assert known_of(self.fast.streams[symbol]) == known_of(stream), symbol


def counted(router: FrameRouter) -> dict[str, Any]:
    return {"frames": router.frames, "rejected": router.rejected, "ignored": router.ignored}


def known_of(stream: InstrumentStream) -> dict[str, Any]:
    """All that a stream can be asked."""
    tracked, quotes, feed = stream.tracked, stream.quotes, stream.feed
    return {
        "counters": stream.counters,
        "quotes": (quotes.checked, quotes.wrong, quotes.compared, quotes.different, quotes.contradicted),
        "feed": (feed.state, stream.reason, stream.epoch, stream.waiting, stream.needs_snapshot, feed.silences),
        "book": stream.book.arrays(),
        "tracked": (tracked.validity, tracked.reason, tracked.epoch, tracked.sequence, tracked.known, tracked.grid),
        "crossed": (tracked.crossed_since_ns, tracked.crossed_records),
        "times": (stream.kept.now_ns, stream.kept.received_ns, stream.kept.records.exchange_ns),
        "trades": (stream.kept.trades.ticks, stream.kept.trades.lots),
    }


FIXTURES = Path(__file__).parent / "fixtures"
EACH = pytest.mark.parametrize("venue", sorted(EXCHANGES))


@cache
def of_venue(venue: str) -> tuple[list[Frame], dict[str, Instrument]]:
    """A venue's frames, and the instruments of its list."""
    path = FIXTURES / venue / "frames.jsonl"
    source, reader = open_recording(path, EXCHANGES[venue])
    return list(source.frames()), scan(source, reader).instruments


@cache
def ordinary(venue: str) -> list[int]:
    """Which of a venue's frames are taken at speed."""
    frames, instruments = of_venue(venue)
    both, taken = BothPaths(EXCHANGES[venue], instruments), list[int]()
    for at, frame in enumerate(frames):
        before = both.quick
        both.feed([frame])
        taken += [at] * (both.quick - before)
    return taken


def compared(venue: str, frames: Sequence[Frame]) -> BothPaths:
    both = BothPaths(EXCHANGES[venue], of_venue(venue)[1])
    both.feed(frames)
    both.compare()
    return both
