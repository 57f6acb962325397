"""A recording through the pipeline's own code, in memory: no broker, no worker, no database, the same events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from obflow.progress import Watch
from obflow.settings import Settings
from processors.factors.engine import Engine, EngineState
from producers.books.options import StreamOptions
from producers.contract import Exchange
from producers.recordings.reader import RecordingReplay, Scan
from producers.settings import ProducerSettings
from schemas.digest import EventDigest
from schemas.errors import UsageError
from schemas.messages import FactorEvent, InstrumentKey, L2Record, Source
from schemas.units import NS_PER_SECOND

BATCH = 256
"""Records of one instrument handed to the engine at once; any other number gives the same events."""


class InstrumentEvent(NamedTuple):
    """A factor event and whose it is."""

    instrument: InstrumentKey
    event: FactorEvent


def open_replay(
    path: Path,
    exchange: Exchange,
    settings: Settings,
    found: Scan | None = None,
    *,
    until_damage: bool = False,
    beside: Sequence[Path] = (),
) -> RecordingReplay:
    """The recording as its producer would publish it under these settings. Errors as of `RecordingReplay`."""
    producer = settings.of(ProducerSettings)
    options = StreamOptions(
        source=Source.REPLAY,
        routine_snapshot_ns=int(producer.routine_snapshot_seconds * NS_PER_SECOND),
        delta_buffer=producer.delta_buffer,
        stale_ns=int(producer.stale_seconds * NS_PER_SECOND),
    )
    most = producer.max_frame_bytes
    return RecordingReplay(
        path, exchange, options, found=found, max_frame_bytes=most, until_damage=until_damage, beside=beside
    )


def require_symbol(found: Scan, symbol: str, path: Path) -> None:
    """See that the recording holds this instrument.

    Raises:
        UsageError: It does not.
    """
    if symbol in found.instruments:
        return
    known = sorted(found.instruments)
    step = f"it holds {', '.join(known[:10])}{' …' if len(known) > 10 else ''}" if known else "it holds no book at all"
    raise UsageError(f"the recording {path} does not hold {symbol!r}", next_step=step)


class FactorReplay:
    """The factor events of a recording. Iterate it once; an instrument's events come in source order.

    A record's source offset is its index among the recording's L2 records.

    Args:
        replay: The recording.
        engine: Computes the factors.
        symbol: Only this instrument; None takes all.
        watch: The recording's lines go through it.
    """

    def __init__(
        self, replay: RecordingReplay, engine: Engine[Any, Any], symbol: str | None = None, watch: Watch = iter
    ) -> None:
        self._replay = replay
        self._engine = engine
        self._symbol = symbol
        self._watch = watch
        self._states: dict[InstrumentKey, EngineState] = {}
        self._pending: dict[InstrumentKey, tuple[list[int], list[L2Record]]] = {}

    def __iter__(self) -> Iterator[InstrumentEvent]:
        offset = -1
        for record in (record for step in self._watch(self._replay) for record in step.records):
            if not isinstance(record, L2Record):
                continue
            offset += 1
            if self._symbol is not None and record.symbol != self._symbol:
                continue
            offsets, records = self._pending.setdefault(record.instrument, ([], []))
            offsets.append(offset)
            records.append(record)
            if len(records) >= BATCH:
                yield from self._flush(record.instrument)
        for instrument in list(self._pending):
            yield from self._flush(instrument)

    def _flush(self, instrument: InstrumentKey) -> Iterator[InstrumentEvent]:
        state = self._states.get(instrument)
        if state is None:
            state = self._states[instrument] = self._engine.fresh()
        offsets, records = self._pending.pop(instrument)
        for event in self._engine.step(state, offsets, self._engine.rows(records)).events():
            yield InstrumentEvent(instrument, event)


class FactorSummary(NamedTuple):
    """The factor events of one instrument: how many, their canonical digest, how many of each status."""

    events: int
    digest: str
    statuses: dict[str, int]


def summarise(
    events: Iterable[InstrumentEvent], write: Callable[[InstrumentEvent], None] | None = None
) -> dict[str, FactorSummary]:
    """Count and digest the events by symbol, handing each to `write` where one is given."""
    digests: dict[str, EventDigest] = {}
    statuses: dict[str, Counter[str]] = {}
    for item in events:
        symbol = item.instrument.symbol
        digests.setdefault(symbol, EventDigest()).update(item.event)
        statuses.setdefault(symbol, Counter())[item.event.status.value] += 1
        if write is not None:
            write(item)
    return {
        symbol: FactorSummary(found.events, found.hexdigest(), dict(statuses[symbol].most_common()))
        for symbol, found in sorted(digests.items())
    }
