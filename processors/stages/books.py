"""Books to factors: `l2.v1` in, `factors.v1` out, and `resync.v1` where a book broke at this reader."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from orderbook.validity import CONNECTS, Outcome, Validity
from processors.contract import NOTHING, Batch, Count, Emit, Emitted, NamedPlaces
from processors.factors import ENGINES, StageOptions, engine_of
from processors.factors.conflation import newest_of_each_status
from processors.factors.conversion import readable_by
from processors.factors.engine import EngineState, EventColumns, L2Row
from processors.factors.resync import ResyncAsker
from schemas.codec import encode
from schemas.errors import MessageError
from schemas.messages import InstrumentKey
from schemas.places import Place, check_place
from schemas.topics import BOOKS_CHANGELOG, FACTORS, L2, RESYNC, Topic
from schemas.withheld import Withheld

PACKED_EVENTS: Final = 160
"""Most events in one record: fewer than it may hold, so that a dead letter about it keeps it whole (64 KiB)."""
IGNORED: Final = (Outcome.ROUTINE, Outcome.IGNORED_OLD_EPOCH, Outcome.IGNORED_NOT_LIVE)


@dataclass(slots=True)
class BookState:
    """One instrument: the engine's state of its book, what is asked of its producer, and when a record came last.

    `heard_s` is monotonic, seconds; it is this worker's own, and in no checkpoint.
    """

    book: EngineState
    asker: ResyncAsker
    heard_s: float = 0.0


class BooksStage:
    """Keeps one book an instrument and computes an event of factors for each record that makes one."""

    name = "books"
    role = "processor"
    label = "factor"
    reads = L2
    writes: tuple[Topic, ...] = (FACTORS, RESYNC)
    changelog = BOOKS_CHANGELOG
    outlives_log = False
    names: NamedPlaces[BookState, L2Row] | None = None
    shares: tuple[str, ...] = ()
    decode_records = 2_000
    step_records = PACKED_EVENTS

    def __init__(self, options: StageOptions) -> None:
        self._engine = engine_of(options)
        self._conflate_above_ms = options.conflate_above_ms
        self.layout, self.older = self._engine.layout, readable_by(type(self._engine), ENGINES)
        self._taken = Counter[str]()

    def decode(self, payloads: Sequence[bytes | None]) -> Sequence[L2Row | MessageError]:
        """Decode records; one whose grid or name cannot be used is refused."""
        return self._engine.decode(payloads)

    def check(self, record: L2Row, place: Place) -> None:
        """Refuse a record of an instrument of another partition, and an epoch far ahead of the record's time."""
        check_place(record, place)  # type: ignore[arg-type] # an `L2Record` in all that it reads

    def key(self, record: L2Row) -> str:
        """`venue:symbol`."""
        return f"{record.venue}:{record.symbol}"

    def fresh(self, key: str) -> BookState:
        """A book that waits for its first snapshot."""
        return BookState(self._engine.fresh(), ResyncAsker(InstrumentKey.parse(key)))

    def dump(self, state: BookState) -> bytes:
        """Write down the book. What is asked of the producer is asked anew after a restart, where it still is wrong."""
        return self._engine.dump(state.book)

    def load(self, key: str, data: bytes) -> BookState:
        """Read a book."""
        return BookState(self._engine.load(data), ResyncAsker(InstrumentKey.parse(key)))

    def connects(self, state: BookState, record: L2Row) -> bool:
        """Whether the book takes the record for the next one."""
        return self._engine.judge(state.book, record) in CONNECTS

    def step(self, state: BookState, batch: Batch[L2Row]) -> Emitted:
        """Take records to the book: one factor record for each stretch of one feed source and run."""
        records, counts, withheld = [], Counter[Outcome](), 0
        state.heard_s = batch.now_s
        for run in _by_run(batch):
            columns = self._engine.step(state.book, run.offsets, run.records)
            _follow(state, columns, run)
            counts += columns.outcomes
            if columns:
                before = self._withhold(columns, batch.age_ms)
                records.append(_emit(run, columns, before))
                withheld += before.events
        venue = batch.records[0].venue
        return Emitted(records, [*_counts(venue, counts, withheld), *self._newly_taken()])

    def _withhold(self, columns: EventColumns, age_ms: float) -> Withheld:
        """Leave out what overload leaves out; say what that was."""
        first, count = columns.source_offset[0], len(columns)
        if 0 < self._conflate_above_ms < age_ms:
            columns.leave(newest_of_each_status(columns.status))
        return Withheld(first, count - len(columns))

    def _newly_taken(self) -> Iterator[Count]:
        """How many records compiled code has taken since the last step, and how many it has left to the reference."""
        before, self._taken = self._taken, Counter(self._engine.taken)
        for by, number in (self._taken - before).items():
            yield Count("obflow_compiled_total", "by", by, number)

    def due(self, state: BookState, now_s: float) -> Emitted:
        """The request for a snapshot that is due, if one is."""
        request = state.asker.due(now_s)
        if request is None:
            return NOTHING
        fields = ("venue", "symbol", "reason", "attempt")
        line = {"event": "resync_requested", **{name: getattr(request, name) for name in fields}}
        return Emitted(
            [Emit(RESYNC, str(request.instrument), encode(request), source_offset=None)],
            [Count("obflow_resyncs_total", "venue", request.venue, 1)],
            [{**line, "offset": request.source_offset}],
        )

    def gauges(self, states: Iterable[BookState], now_s: float) -> Iterator[Count]:
        """How many books are in each state, and how long one of them has had no record."""
        found: dict[Validity, list[float]] = {validity: [] for validity in Validity}
        for state in states:
            found[state.book.validity].append(now_s - state.heard_s)
        for validity, ages_s in found.items():
            yield Count("obflow_books", "state", validity.value, len(ages_s))
            yield Count("obflow_book_age_seconds", "state", validity.value, max(ages_s, default=0.0))


def _by_run(batch: Batch[L2Row]) -> Iterator[Batch[L2Row]]:
    """The batch in stretches of one feed source and run, which a factor record names once."""
    start = 0
    for _, run in groupby(batch.records, lambda record: (record.source, record.run)):
        end = start + sum(1 for _ in run)
        yield batch._replace(offsets=batch.offsets[start:end], records=batch.records[start:end])
        start = end


def _follow(state: BookState, columns: EventColumns, run: Batch[L2Row]) -> None:
    state.asker.follow(columns.resync, run.partition, run.now_s)
    if columns.outcomes[Outcome.IGNORED_OLD_EPOCH] == len(run.records):
        state.asker.only_lower_epochs(state.book.epoch, run.partition, run.offsets[-1], run.now_s)
    else:
        state.asker.heard_own_epoch()


def _emit(run: Batch[L2Row], columns: EventColumns, before: Withheld) -> Emit:
    value = columns.encoded(run.records[0], run.log, run.partition)
    headers = (before.header,) if before.events else ()
    return Emit(FACTORS, run.key, value, before.first_offset, columns.received_ns[-1], headers=headers)


def _counts(venue: str, outcomes: Counter[Outcome], withheld: int) -> Iterator[Count]:
    if withheld:
        yield Count("obflow_withheld_total", "venue", venue, withheld)
    for outcome in IGNORED:
        if outcomes[outcome]:
            yield Count("obflow_ignored_total", "reason", outcome.value, outcomes[outcome])
    if outcomes[Outcome.BROKE]:
        yield Count("obflow_gaps_total", "venue", venue, outcomes[Outcome.BROKE])
