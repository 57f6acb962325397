"""Between the streams and the broker: where the broker falls behind, books are shed in the open, never in silence.

A full queue makes one instrument *overloaded*: its stream is told, which invalidates its book and asks for a snapshot.
Until there is room again nothing of that instrument is published; then come its `invalid` and its status, which says
how many records were shed, and only then may its snapshot be fetched. Other instruments go on.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import Protocol

import structlog
from msgspec.structs import replace

from producers.books.records import EncodedDelta, ProducerRecord
from schemas.messages import DeadLetter, FeedStatus, Kind, L2Record

MAX_HELD_LETTERS = 1_000
"""Dead letters that wait for room; those beyond are lost, and counted."""

log = structlog.get_logger(__name__)


class Sink(Protocol):
    """Where records go."""

    @property
    def waiting(self) -> int:
        """Records handed over and not yet acknowledged."""
        ...

    def offer(self, record: ProducerRecord) -> bool:
        """Hand over one record; False where there is no room."""
        ...


class _Overload:
    """What waits for room on behalf of one instrument."""

    def __init__(self) -> None:
        self.invalid: L2Record | None = None
        self.status: FeedStatus | None = None
        self.shed = 0
        self.book_was_shed = False

    def keep_or_shed(self, record: ProducerRecord) -> bool:
        """Keep what says how things are; True where the record is shed."""
        if isinstance(record, FeedStatus):
            # A state: the newest says all. It stays a change where one of those it replaces was.
            was_change = self.status is not None and not self.status.heartbeat
            self.status = replace(record, heartbeat=record.heartbeat and not was_change)
            return False
        if isinstance(record, L2Record) and record.kind is Kind.INVALID:
            self.invalid = record
            return False
        self.book_was_shed = self.book_was_shed or isinstance(record, L2Record | EncodedDelta)
        return True


class Outlet:
    """The way out for all instruments of a producer.

    Args:
        sink: Where records go.
        invalidate: Tells a stream that it is overloaded; gives the records that say so.
        resume_below: Overloaded instruments go on once fewer records than this wait.

    Attributes:
        shed: Records that were not published, by kind.
        overloads: How often an instrument became overloaded.
    """

    def __init__(self, sink: Sink, invalidate: Callable[[str], Iterable[ProducerRecord]], *, resume_below: int) -> None:
        self.shed: Counter[str] = Counter()
        self.overloads = 0
        self._sink = sink
        self._invalidate = invalidate
        self._resume_below = max(1, resume_below)
        self._overloaded: dict[str, _Overload] = {}
        self._letters: deque[DeadLetter] = deque()

    def is_overloaded(self, symbol: str) -> bool:
        """Tell whether an instrument waits for room: then its snapshot must not be fetched yet."""
        return symbol in self._overloaded

    def emit(self, records: Iterable[ProducerRecord]) -> None:
        """Publish records in order, or shed them in the open. Errors as of the sink."""
        for record in records:
            if isinstance(record, DeadLetter):
                self._emit_letter(record)
                continue
            overload = self._overloaded.get(record.symbol)
            if overload is None:
                if self._sink.offer(record):
                    continue
                overload = self._begin_overload(record.symbol)
            self._count(overload, record)
        self._invalidate_shed_books()

    def release(self) -> None:
        """Go on with what was held back, if there is room."""
        if not (self._overloaded or self._letters) or self._sink.waiting >= self._resume_below:
            return
        while self._letters and self._sink.offer(self._letters[0]):
            self._letters.popleft()
        for symbol in [symbol for symbol, overload in self._overloaded.items() if self._publish_held(overload)]:
            overload = self._overloaded.pop(symbol)
            log.warning("overload_ended", symbol=symbol, shed=overload.shed)

    def _begin_overload(self, symbol: str) -> _Overload:
        self.overloads += 1
        overload = self._overloaded[symbol] = _Overload()
        overload.book_was_shed = True  # whatever was refused: the stream is told, and its book starts afresh
        log.warning("overload_began", symbol=symbol, waiting=self._sink.waiting)
        return overload

    def _count(self, overload: _Overload, record: ProducerRecord) -> None:
        if overload.keep_or_shed(record):
            overload.shed += 1
            self.shed[type(record).__name__] += 1

    def _invalidate_shed_books(self) -> None:
        """Tell the streams whose books were shed: they believe them LIVE while their readers lack records."""
        for symbol, overload in self._overloaded.items():
            if overload.book_was_shed:
                overload.book_was_shed = False
                for record in self._invalidate(symbol):
                    self._count(overload, record)

    def _publish_held(self, overload: _Overload) -> bool:
        if overload.invalid is not None:
            if not self._sink.offer(overload.invalid):
                return False
            overload.invalid = None
        if overload.status is None:
            return True
        detail = f"the broker was behind: {overload.shed} records were shed"
        return self._sink.offer(replace(overload.status, detail=detail))

    def _emit_letter(self, letter: DeadLetter) -> None:
        if not self._letters and self._sink.offer(letter):
            return
        if len(self._letters) >= MAX_HELD_LETTERS:
            self.shed["DeadLetter"] += 1
            log.error("dead_letter_lost", letter_id=letter.letter_id, reason=letter.reason)
            return
        self._letters.append(letter)
