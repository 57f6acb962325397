"""Books to anomalies of their levels: `l2.v1` in, wide spreads and large orders that came and went out, in order.

It writes into the topic of the stage `anomalies`, which reads factors: each has kinds of its own, and a kind is part
of a record's identity.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial

from orderbook.validity import CONNECTS
from processors.anomalies.level_events import Place as LogPlace
from processors.anomalies.level_events import order_event, spread_event
from processors.anomalies.levels import LevelState, take_record
from processors.anomalies.near import open_top
from processors.anomalies.spread import SpreadStep
from processors.anomalies.thresholds import level_thresholds, version_of
from processors.contract import NONE_OLDER, NOTHING, Batch, Count, Emit, Emitted, NamedPlaces, decode_each
from processors.derived.outcomes import outcome_counts
from schemas.codec import decode_as, encode
from schemas.errors import MessageError
from schemas.messages import AnomalyEvent, L2Record
from schemas.places import Place, check_place
from schemas.topics import ANOMALIES, L2, LEVELS_CHANGELOG, Topic


class LevelsStage:
    """Keeps one book an instrument, watches its spread and its large orders."""

    name = "levels"
    role = "levels"
    label = "level"
    reads = L2
    writes: tuple[Topic, ...] = (ANOMALIES,)
    changelog = LEVELS_CHANGELOG
    layout = 1
    older = NONE_OLDER
    outlives_log = False
    names: NamedPlaces[LevelState, L2Record] | None = None
    shares: tuple[str, ...] = ()
    decode_records = 500
    step_records = 100

    def __init__(self, options: object) -> None:
        self._settings = level_thresholds(options)
        self._set = version_of(self._settings)

    def decode(self, payloads: Sequence[bytes | None]) -> list[L2Record | MessageError]:
        """Decode records."""
        return decode_each(partial(decode_as, L2Record), payloads)

    def check(self, record: L2Record, place: Place) -> None:
        """Refuse a record of an instrument of another partition, and an epoch far ahead of the record's time."""
        check_place(record, place)

    def key(self, record: L2Record) -> str:
        """`venue:symbol`."""
        return f"{record.venue}:{record.symbol}"

    def fresh(self, key: str) -> LevelState:
        """A book that waits for its first snapshot."""
        return LevelState()

    def dump(self, state: LevelState) -> bytes:
        """Write down the book, its baseline and what is watched."""
        return state.to_bytes()

    def load(self, key: str, data: bytes) -> LevelState:
        """Read them."""
        return LevelState.from_bytes(data)

    def connects(self, state: LevelState, record: L2Record) -> bool:
        """Whether the book takes the record for the next one."""
        return state.tracked.judge(record) in CONNECTS

    def step(self, state: LevelState, batch: Batch[L2Record]) -> Emitted:
        """Take records to the book: one record for each spread that became wide or ceased to be, and each pattern."""
        emits, found = [], Counter[str]()
        for offset, record in zip(batch.offsets, batch.records, strict=True):
            place = (batch.log, batch.partition, offset)
            for event in self._events(state, record, place, found):
                found[f"{event.kind.value}_{event.action.value}"] += 1
                emits.append(Emit(ANOMALIES, batch.key, encode(event), offset, event.received_ns))
        return Emitted(emits, outcome_counts(found))

    def due(self, state: LevelState, now_s: float) -> Emitted:
        """Nothing: episodes begin and end by records alone."""
        return NOTHING

    def gauges(self, states: Iterable[LevelState], now_s: float) -> Iterator[Count]:
        """None."""
        return iter(())

    def _events(
        self, state: LevelState, record: L2Record, place: LogPlace, found: Counter[str]
    ) -> Iterator[AnomalyEvent]:
        number = 0
        for step in take_record(state, record, place[2], self._settings, found):
            if isinstance(step, SpreadStep):
                top = open_top(state.tracked.book) if state.tracked.is_live else None
                yield spread_event(record, place, top, step, self._set)
            else:
                yield order_event(record, place, step, number, self._set)
                number += 1
