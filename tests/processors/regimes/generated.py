"""Factor records for tests of regimes: lively, seeded, with every status, nulls, quiet spells and holes."""

from __future__ import annotations

from random import Random

import msgspec

from processors.regimes.events import rule_event, rule_set
from processors.regimes.rules import rule_settings
from processors.regimes.shown import shown
from processors.regimes.state import Closed
from processors.regimes.words import rule_words
from processors.settings import RegimeSettings
from schemas.factors import FACTOR_INDEX, NO_FACTORS
from schemas.messages import FactorEvent, FactorRecord, InstrumentKey, RegimeEvent, Source, Status
from schemas.units import NS_PER_SECOND

T0_NS = 1_723_161_257 * NS_PER_SECOND
L2_LOG = "l2logl2l"
RULES = rule_settings(RegimeSettings())
TRADED = ("trade_buy_5s", "trade_sell_5s", "trade_count_5s")


class Market:
    """One instrument's factor events, of moods that change.

    Args:
        seed: Of everything random.
        step_s: Mean time between two events, seconds.
        start_ns: Time of the first.
        quiet: Share of events that come after a long silence.
        broken: Share of events at which the book is lost.
    """

    def __init__(
        self, seed: int, *, step_s: float = 0.4, start_ns: int = T0_NS, quiet: float = 0.01, broken: float = 0.004
    ) -> None:
        self._chance = Random(seed)
        self._trading = Random(seed + 1)  # of its own, so that books are the same with trades or without
        self._step_s = step_s
        self._quiet = quiet
        self._broken = broken
        self._at_ns = start_ns
        self._offset = self._chance.randrange(50)
        self._mid = 60_000.0
        self._mood = 0.0
        self._swing = 1e-5

    def events(self, count: int) -> list[FactorEvent]:
        return [self._next() for _ in range(count)]

    def _next(self) -> FactorEvent:
        chance = self._chance
        if chance.random() < 0.02:
            self._mood, self._swing = chance.uniform(-0.5, 0.5), 10 ** chance.uniform(-5.5, -4)
        quiet = chance.random() < self._quiet
        self._at_ns += int(chance.expovariate(1.0 / (20.0 if quiet else self._step_s)) * NS_PER_SECOND)
        self._offset += chance.randrange(1, 9)
        if chance.random() < self._broken:
            return FactorEvent(self._offset, self._offset * 3, self._at_ns, Status.RESYNCING, NO_FACTORS)
        self._mid *= 1.0 + chance.gauss(0.0, self._swing)
        return self._usable()

    def _usable(self) -> FactorEvent:
        chance, values = self._chance, list[float | None](NO_FACTORS)
        status = chance.choices([Status.OK, Status.THIN, Status.CROSSED], [0.95, 0.04, 0.01])[0]
        found = {
            "mid": self._mid,
            "spread_bps": chance.uniform(0.01, 2.0),
            "obi_l1": chance.uniform(-1.0, 1.0),
            "obi_l5": chance.uniform(-1.0, 1.0) if chance.random() > 0.05 else None,
            "ofi_l1_1s": chance.gauss(0.0, 20.0),
            "obi_10bps": max(-1.0, min(1.0, chance.gauss(self._mood, 0.2))) if chance.random() > 0.05 else None,
            "ofi_l1": chance.gauss(0.0, 5.0) if chance.random() > 0.05 else None,
            "bid_depth_10bps": chance.uniform(1e5, 1e6),
            "ask_depth_10bps": chance.uniform(1e5, 1e6),
        }
        for name, value in {**found, **self._traded()}.items():
            values[FACTOR_INDEX[name]] = value
        return FactorEvent(self._offset, self._offset * 3, self._at_ns, status, tuple(values))

    def _traded(self) -> dict[str, float | None]:
        """Trades of five seconds: often none, at times unknown, as in the first seconds of a book."""
        chance = self._trading
        kind = chance.choices(["some", "none", "unknown"], [0.7, 0.2, 0.1])[0]
        volumes = [chance.uniform(0.0, 50.0) * chance.choice([0.0, 1.0, 1.0]) for _ in range(2)]
        if kind == "unknown":
            return dict.fromkeys(TRADED)
        bought, sold = volumes if kind == "some" else (0.0, 0.0)
        return dict(zip(TRADED, (bought, sold, float((bought > 0.0) + (sold > 0.0))), strict=True))


def record(
    events: list[FactorEvent], symbol: str = "BTCUSDT", *, source_log: str = L2_LOG, partition: int = 0
) -> FactorRecord:
    return FactorRecord("binance-futures", symbol, Source.SIMULATOR, "a1", source_log, partition, events)


def packed(events: list[FactorEvent], sizes: list[int], **where: object) -> list[FactorRecord]:
    """The events as records of these many each, the sizes repeated as often as it takes."""
    found, first, turn = [], 0, 0
    while first < len(events):
        size = sizes[turn % len(sizes)]
        found.append(record(events[first : first + size], **where))  # type: ignore[arg-type] # symbol, log, partition
        first, turn = first + size, turn + 1
    return found


def shifted(event: FactorEvent, *, seconds: float = 0.0, offset: int = 0) -> FactorEvent:
    moved: FactorEvent = msgspec.structs.replace(
        event, received_ns=event.received_ns + int(seconds * NS_PER_SECOND), source_offset=event.source_offset + offset
    )
    return moved


def event_of(instrument: InstrumentKey, closed: Closed) -> RegimeEvent:
    """What the rules say of a window, as the stage sends it with default settings."""
    return rule_event(instrument, closed, rule_set(RULES), rule_words(shown(closed), "en"))
