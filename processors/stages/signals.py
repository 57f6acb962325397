"""Factors to signals: `factors.v1` in, the openings and closings of each kind of signal out, in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from processors.contract import NONE_OLDER, NOTHING, Batch, Count, Emit, Emitted, NamedPlaces, decode_each
from processors.derived.factor_records import read_factors
from processors.derived.fees import FeeOptions, FeeTable
from processors.derived.followed import FactorPlaces, counted, new_events, read_state
from processors.derived.outcomes import outcome_counts
from processors.signals.events import signal_event, slope_of
from processors.signals.state import SignalState, forget, take_event
from processors.signals.thresholds import kind_rules, signal_set, signal_thresholds, slopes_of
from schemas.codec import encode
from schemas.errors import MessageError
from schemas.messages import FactorRecord, SignalEvent
from schemas.places import Place, check_place
from schemas.topics import FACTORS, SIGNALS, SIGNALS_CHANGELOG, Topic

USED: Final = ("mid", "spread_bps", "obi_l1", "obi_l5", "ofi_l1_1s", "obi_l1_z")


class SignalsStage:
    """Keeps one state an instrument and kind, and publishes its steps."""

    name = "signals"
    role = "signals"
    label = "signal"
    reads = FACTORS
    writes: tuple[Topic, ...] = (SIGNALS,)
    changelog = SIGNALS_CHANGELOG
    layout = 1
    older = NONE_OLDER
    outlives_log = True
    """What a state holds are offsets of the books' log: `factors.v1` may be made anew and filled again from there."""
    names: NamedPlaces[SignalState, FactorRecord] | None = FactorPlaces()
    shares: tuple[str, ...] = ("fees",)
    decode_records = 1
    """A record packs up to 256 events."""
    step_records = 1

    def __init__(self, options: object, fees: FeeOptions) -> None:
        self._settings = signal_thresholds(options)
        self._rules = kind_rules(self._settings)
        self._slopes = slopes_of(self._settings.slopes)
        self._fees = FeeTable(fees.table, fees.tier)
        self._set = signal_set(self._settings, self._fees)

    def decode(self, payloads: Sequence[bytes | None]) -> list[FactorRecord | MessageError]:
        """Decode records; one with a factor beyond all measure is refused whole."""
        return decode_each(lambda payload: read_factors(payload, USED), payloads)

    def check(self, record: FactorRecord, place: Place) -> None:
        """Refuse a record of an instrument of another partition."""
        check_place(record, place)

    def key(self, record: FactorRecord) -> str:
        """`venue:symbol`."""
        return f"{record.venue}:{record.symbol}"

    def fresh(self, key: str) -> SignalState:
        """FLAT, with nothing remembered."""
        return SignalState()

    def dump(self, state: SignalState) -> bytes:
        """Write down every kind's state and memory."""
        return msgspec.msgpack.encode(state)

    def load(self, key: str, data: bytes) -> SignalState:
        """Read them."""
        return read_state(data, SignalState)

    def connects(self, state: SignalState, record: FactorRecord) -> bool:
        """Always: events do not say which one they follow."""
        return True

    def step(self, state: SignalState, batch: Batch[FactorRecord]) -> Emitted:
        """Take events to every kind: one signal event for each step."""
        emits, passed, outcomes = [], Counter[str](), Counter[str]()
        for offset, record in zip(batch.offsets, batch.records, strict=True):
            for event in self._steps(state, record, passed, outcomes):
                outcomes[event.action.value] += 1
                outcomes["no_fee"] += event.cost_bps is None and event.mid is not None
                emits.append(Emit(SIGNALS, batch.key, encode(event), offset, event.received_ns))
        return Emitted(emits, [*counted(passed), *outcome_counts(+outcomes)])  # those that came about

    def due(self, state: SignalState, now_s: float) -> Emitted:
        """Nothing: signals open and close by events alone."""
        return NOTHING

    def gauges(self, states: Iterable[SignalState], now_s: float) -> Iterator[Count]:
        """None."""
        return iter(())

    def _steps(
        self, state: SignalState, record: FactorRecord, passed: Counter[str], outcomes: Counter[str]
    ) -> Iterator[SignalEvent]:
        for event, is_afresh in new_events(state.followed, record, passed):
            if is_afresh:
                forget(state, outcomes)
            for step in take_event(state, event, self._rules, self._settings, outcomes):
                slope = slope_of(self._slopes, record, step.kind)
                yield signal_event(record, event, step, self._settings, self._fees, slope, self._set)
