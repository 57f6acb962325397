"""Factors to anomalies: `factors.v1` in, the beginning and the end of each episode out, in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from processors.anomalies.events import anomaly_event
from processors.anomalies.state import AnomalyState, forget, take_event
from processors.anomalies.thresholds import anomaly_thresholds, version_of
from processors.contract import NONE_OLDER, NOTHING, Batch, Count, Emit, Emitted, NamedPlaces, decode_each
from processors.derived.factor_records import read_factors
from processors.derived.followed import FactorPlaces, counted, new_events, read_state
from processors.derived.outcomes import outcome_counts
from schemas.codec import encode
from schemas.errors import MessageError
from schemas.messages import AnomalyEvent, FactorRecord
from schemas.places import Place, check_place
from schemas.topics import ANOMALIES, ANOMALIES_CHANGELOG, FACTORS, Topic

USED: Final = ("mid", "spread_bps", "bid_depth_10bps", "ask_depth_10bps")


class AnomaliesStage:
    """Keeps what a book was like, and publishes when it is not."""

    name = "anomalies"
    role = "anomalies"
    label = "anomaly"
    reads = FACTORS
    writes: tuple[Topic, ...] = (ANOMALIES,)
    changelog = ANOMALIES_CHANGELOG
    layout = 1
    older = NONE_OLDER
    outlives_log = True
    """What a state holds are offsets of the books' log: `factors.v1` may be made anew and filled again from there."""
    names: NamedPlaces[AnomalyState, FactorRecord] | None = FactorPlaces()
    shares: tuple[str, ...] = ()
    decode_records = 1
    """A record packs up to 256 events."""
    step_records = 1

    def __init__(self, options: object) -> None:
        self._settings = anomaly_thresholds(options)
        self._set = version_of(self._settings)

    def decode(self, payloads: Sequence[bytes | None]) -> list[FactorRecord | MessageError]:
        """Decode records; one with a factor beyond all measure is refused whole."""
        return decode_each(lambda payload: read_factors(payload, USED), payloads)

    def check(self, record: FactorRecord, place: Place) -> None:
        """Refuse a record of an instrument of another partition."""
        check_place(record, place)

    def key(self, record: FactorRecord) -> str:
        """`venue:symbol`."""
        return f"{record.venue}:{record.symbol}"

    def fresh(self, key: str) -> AnomalyState:
        """Nothing remembered, no episode."""
        return AnomalyState()

    def dump(self, state: AnomalyState) -> bytes:
        """Write down the baselines and the open episodes."""
        return msgspec.msgpack.encode(state)

    def load(self, key: str, data: bytes) -> AnomalyState:
        """Read them."""
        return read_state(data, AnomalyState)

    def connects(self, state: AnomalyState, record: FactorRecord) -> bool:
        """Always: events do not say which one they follow."""
        return True

    def step(self, state: AnomalyState, batch: Batch[FactorRecord]) -> Emitted:
        """Take events to the baselines: one record for each episode that begins or ends."""
        emits, passed, found = [], Counter[str](), Counter[str]()
        for offset, record in zip(batch.offsets, batch.records, strict=True):
            for event in self._steps(state, record, passed):
                found[f"{event.kind.value}_{event.action.value}"] += 1
                emits.append(Emit(ANOMALIES, batch.key, encode(event), offset, event.received_ns))
        return Emitted(emits, [*counted(passed), *outcome_counts(found)])

    def due(self, state: AnomalyState, now_s: float) -> Emitted:
        """Nothing: episodes begin and end by events alone."""
        return NOTHING

    def gauges(self, states: Iterable[AnomalyState], now_s: float) -> Iterator[Count]:
        """None."""
        return iter(())

    def _steps(self, state: AnomalyState, record: FactorRecord, passed: Counter[str]) -> Iterator[AnomalyEvent]:
        for event, is_afresh in new_events(state.followed, record, passed):
            if is_afresh:
                forget(state)
            for step in take_event(state, event, self._settings):
                yield anomaly_event(record, step, self._set)
