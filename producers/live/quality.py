"""Windows of all feeds of a producer: what comes is noted as it comes, and a record a feed is due with each minute."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from producers.books.quality import ClockBounds, Counted, QualityWindow
from producers.books.records import EncodedDelta
from producers.books.stream import InstrumentStream, Published
from producers.messages import Frame, Via
from schemas.messages import FeedQuality, InstrumentKey, Kind, L2Record, SequenceSource, Source, TradeRecord
from schemas.units import NS_PER_SECOND


class Reopenings(NamedTuple):
    """What came of tries to have a lost connection back."""

    stood: int = 0
    failed: int = 0


class VenueClock:
    """How far the venue's clock is ahead of ours, as its answers of this window say."""

    def __init__(self) -> None:
        self._bounds: ClockBounds | None = None

    def note(self, bounds: ClockBounds) -> None:
        """Note what an answer says."""
        self._bounds = bounds if self._bounds is None else self._bounds.narrowed(bounds)

    def take(self) -> ClockBounds | None:
        """Give what is known, and begin anew."""
        bounds, self._bounds = self._bounds, None
        return bounds


class QualityWindows:
    """The windows of a producer's feeds.

    Args:
        seconds: How long each is; they end where the time is a multiple of it.
        source: Written into each record.
        run: The same.
        reopenings: What came of reopening the connection that carries a symbol, from the start on.
        clock: The venue's.
    """

    def __init__(
        self,
        seconds: float,
        source: Source,
        run: str,
        *,
        reopenings: Callable[[str], Reopenings],
        clock: VenueClock,
    ) -> None:
        self._length_ns = int(seconds * NS_PER_SECOND)
        self._source, self._run = source, run
        self._reopenings, self._clock = reopenings, clock
        self._windows: dict[str, QualityWindow] = {}
        self._number: int | None = None

    def begin(self, stream: InstrumentStream, now_ns: int) -> None:
        """Begin the first window of a feed."""
        key = InstrumentKey(stream.instrument.venue, stream.instrument.symbol)
        window = QualityWindow(key, self._source, self._run, now_ns, self._counted(stream))
        self._windows[key.symbol] = window

    def note_carrier(self, symbol: str) -> None:
        """Note that a connection carries a feed from now on: what came of it before is not the feed's."""
        if (window := self._windows.get(symbol)) is not None:
            window.count_reopenings_from(*self._reopenings(symbol))

    def came(self, frame: Frame, records: Sequence[Published]) -> None:
        """Note how long what a frame brought was on its way."""
        if not records or frame.via is not Via.WS:
            return
        if len(records) == 1 and type(records[0]) is EncodedDelta:  # most frames: nothing else is asked of them
            delta = records[0]
            if delta.exchange_ns is not None and (window := self._windows.get(delta.symbol)) is not None:
                window.depth.add(frame.received_ns - delta.exchange_ns)
        elif not any(isinstance(record, L2Record) and record.kind is Kind.SNAPSHOT for record in records):
            for record in records:  # with a book come updates that waited for it
                self._note(frame, record)

    def _note(self, frame: Frame, record: Published) -> None:
        if not isinstance(record, EncodedDelta | L2Record | TradeRecord) or record.exchange_ns is None:
            return
        window = self._windows.get(record.symbol)
        if window is not None and not (isinstance(record, L2Record) and record.kind is Kind.INVALID):
            sketch = window.trades if isinstance(record, TradeRecord) else window.depth
            sketch.add(frame.received_ns - record.exchange_ns)

    def due(self, streams: Iterable[InstrumentStream], now_ns: int) -> Iterator[FeedQuality]:
        """Give the records that are due by now."""
        number = now_ns // self._length_ns
        is_due, self._number = self._number not in (None, number), number
        clock = self._clock.take() if is_due else None
        for stream in streams:
            window = self._windows.get(stream.instrument.symbol)
            if window is not None and is_due:
                yield window.close(now_ns, self._counted(stream), clock)

    def end(self, stream: InstrumentStream, now_ns: int) -> list[FeedQuality]:
        """Give the last record of a feed that ends."""
        window = self._windows.pop(stream.instrument.symbol, None)
        return [] if window is None else [window.close(now_ns, self._counted(stream), None)]

    def forget(self, symbol: str) -> None:
        """Drop the window of a feed that is another producer's now."""
        self._windows.pop(symbol, None)

    def _counted(self, stream: InstrumentStream) -> Counted:
        advance, tries = stream.advance(), self._reopenings(stream.instrument.symbol)
        is_venues = stream.kept.records.sequence_source is SequenceSource.VENUE
        return Counted(
            stream.counters.deltas_applied,
            stream.counters.gaps,
            advance.restarts,
            tries.stood,
            tries.failed,
            advance.seen if is_venues else None,
            advance.lost if is_venues else None,
        )
