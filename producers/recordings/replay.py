"""Recordings into Kafka: the streams of a live feed, fed from files, at the pace recorded or any other.

A replay never sheds: where the broker is behind, it waits. It answers no request for a snapshot: a book that broke
stays INVALID until the file itself holds a later one. Its epochs begin at the time it was started, so that a second
replay of one recording fences the first.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any, NamedTuple

from obflow.clock import Clock
from obflow.progress import Watch
from producers.books.options import StreamOptions
from producers.books.records import ProducerRecord, shifted
from producers.broker.publisher import Publisher
from producers.compilation import MakeEngine
from producers.contract import Exchange
from producers.recordings.digests import digest_of_all
from producers.recordings.joined import open_joined
from producers.recordings.multiply import Copier, copy_names
from producers.recordings.parts import grouped
from producers.recordings.reader import RecordingReplay, ReplayStep, Scan, scan
from schemas.errors import UsageError
from schemas.messages import DerivativeRecord, Kind, L2Record, Source, TradeRecord
from schemas.runs import replay_run
from schemas.topics import DEAD_LETTERS, DERIVATIVES, FEED_STATUS, L2, TRADES
from schemas.units import NS_PER_MS, NS_PER_SECOND

MAX_PAUSE_SECONDS = 0.2
"""Longest sleep at once: answers of the broker and signals are looked at in between."""
POLL_EVERY_RECORDS = 2_000
SINGLE = Copier(None)
"""Leaves records as they are."""
LOOP_GAP_NS = NS_PER_SECOND
"""Received time between the end of a recording and its next round."""


class ReplayPlan(NamedTuple):
    """How recordings are replayed.

    Attributes:
        speed: Received seconds a second; None as fast as the broker takes them.
        copies: Each instrument as so many, SYMBOL-01 …; None leaves it as it is.
        shift_to_now: Add a constant to all times, so that the first frame is received now.
        limit_frames: Only the first lines of each file.
        limit_diffs: Each instrument only until its so-many-th applied diff.
        loop_seconds: Begin again at the end, and stop after so long; None plays once.
        routine_snapshot_ns: As of a live feed.
        until_damage: Play a damaged file up to its damage.
    """

    speed: float | None = None
    copies: int | None = None
    shift_to_now: bool = False
    limit_frames: int | None = None
    limit_diffs: int | None = None
    loop_seconds: float | None = None
    routine_snapshot_ns: int = 60 * NS_PER_SECOND
    until_damage: bool = False


class EmptyRecording(UsageError):
    """A file holds no instrument of the venue."""


class _File(NamedTuple):
    path: Path
    found: Scan
    digest: str
    beside: tuple[Path, ...] = ()


class Replay:
    """One replay.

    Args:
        paths: Recordings, played one after the other; parts of one that lie in one folder are one.
        exchange: The venue they were recorded from.
        plan: How.
        clock: What is now.
        engine: Makes what takes ordinary updates, where no record has to be looked at or changed.
        joined: Whether the files are datasets of the same instruments, played as one: a run that the first one names.

    Raises:
        UsageError: A file is not there, or holds no instrument of the venue (`EmptyRecording`).
        FatalError: A file is damaged.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        exchange: Exchange,
        plan: ReplayPlan,
        clock: Clock,
        engine: MakeEngine | None = None,
        *,
        joined: bool = False,
    ) -> None:
        self._engine = engine
        self._exchange = exchange
        self._plan = plan
        self._clock = clock
        groups = [tuple(paths)] if joined else grouped(paths)
        opened = [open_joined(group, exchange, until_damage=plan.until_damage) for group in groups]
        self._files = [
            _File(group[0], scan(*one), digest_of_all(group), group[1:])
            for group, one in zip(groups, opened, strict=True)
        ]
        for file in self._files:
            if not file.found.instruments:
                raise EmptyRecording(
                    f"{file.path} holds no instrument of {exchange.venue}", next_step="name its venue with --venue"
                )
        self._copier = Copier(plan.copies)
        self._epoch = 0
        self._last_ns = 0  # received time of the last record, shifted

    @property
    def venue(self) -> str:
        """Exchange id of the venue that they are of."""
        return self._exchange.venue

    @property
    def paths(self) -> list[Path]:
        """The files."""
        return [path for file in self._files for path in (file.path, *file.beside)]

    @property
    def span_ns(self) -> tuple[int, int]:
        """When the first and the last line of them were received, ns UTC."""
        found = [file.found for file in self._files]
        return min(one.first_ns for one in found), max(one.last_ns for one in found)

    def played(self, over: Callable[[], bool]) -> Iterator[ReplayStep]:
        """Give the steps of all files, for whoever publishes them; ends early where it is over."""
        for file in self._files:
            yield from self._steps(file, over)

    def targets(self) -> list[str]:
        """Name the symbols that the replay writes."""
        symbols = {symbol for file in self._files for symbol in file.found.instruments}
        return [name for symbol in sorted(symbols) for name in copy_names(symbol, self._plan.copies)]

    def digests(self) -> list[str]:
        """The SHA-256 of each file, hexadecimal."""
        return [file.digest for file in self._files]

    @property
    def steps(self) -> int | None:
        """How many steps `run` takes; None where only the data or the time tells."""
        if self._plan.loop_seconds is not None or self._plan.limit_diffs is not None:
            return None
        limit = self._plan.limit_frames
        lines = (file.found.lines for file in self._files)
        return sum(1 + (count if limit is None else min(count, limit)) for count in lines)

    def run(
        self, publisher: Publisher, stop: threading.Event, *, flush_seconds: float, watch: Watch = iter
    ) -> dict[str, Any]:
        """Publish everything and wait until it is acknowledged.

        Args:
            publisher: Made without `each_report`.
            stop: Ends it early.
            flush_seconds: Longest wait for the last acknowledgement; the broker's own deadline should come first.
            watch: The steps go through it.

        Returns:
            What was acknowledged, and how fast.

        Raises:
            DeliveryFailed: The broker did not take a record in time.
        """
        began_ns = self._clock.monotonic_ns()
        loop_s = self._plan.loop_seconds

        def seconds() -> float:
            return (self._clock.monotonic_ns() - began_ns) / NS_PER_SECOND

        def over() -> bool:
            return stop.is_set() or (loop_s is not None and seconds() >= loop_s)

        for file in cycle(self._files) if loop_s is not None else self._files:
            pacer = Pacer(self._plan.speed, self._clock, publisher, stop)
            publish(watch(self._steps(file, over)), publisher, pacer, self._copier)
            if over():
                break
        publisher.flush(flush_seconds)
        told = summary_of(publisher.acknowledged, len(self.targets()), seconds())
        return {"venue": self._exchange.venue, **told}

    def _steps(self, file: _File, over: Callable[[], bool]) -> Iterator[ReplayStep]:
        """Give the steps of a file, its times moved to where this round stands; at the end its feeds are stopped."""
        started_ns = self._clock.now_ns()
        self._epoch = max(started_ns // NS_PER_MS, self._epoch + 1)
        first_ns, last_ns = file.found.first_ns, file.found.last_ns
        options = StreamOptions(
            source=Source.REPLAY,
            routine_snapshot_ns=self._plan.routine_snapshot_ns,
            epoch_floor=self._epoch,
            run=replay_run(self._exchange.venue, file.digest, first_ns, last_ns, started_ns),
        )
        shift_ns = self._shift(first_ns)
        as_they_are = shift_ns == 0 and self._plan.limit_diffs is None
        replay = RecordingReplay(
            file.path,
            self._exchange,
            options,
            found=file.found,
            until_damage=self._plan.until_damage,
            engine=self._engine if as_they_are else None,
            beside=file.beside,
        )
        limit = _DiffLimit(self._plan.limit_diffs, len(file.found.instruments))
        last_ns = first_ns
        for step in islice(replay, self._plan.limit_frames):
            if over() or limit.reached:
                break
            last_ns = step.received_ns
            yield ReplayStep(last_ns + shift_ns, _moved(limit.pass_on(step.records), shift_ns))
        ends: list[ProducerRecord] = []
        for stream in replay.router.streams.values():
            self._epoch = max(self._epoch, stream.epoch)
            ends.extend(stream.feed.on_stop(last_ns))
        self._last_ns = last_ns + shift_ns
        yield ReplayStep(self._last_ns, _moved(ends, shift_ns))

    def _shift(self, first_ns: int) -> int:
        """Tell what is added to a file's times: to make it begin now, or, in a later round, to keep them rising."""
        if self._plan.shift_to_now:
            return max(self._clock.now_ns(), self._last_ns + 1) - first_ns
        again = self._plan.loop_seconds is not None and self._last_ns >= first_ns
        return self._last_ns + LOOP_GAP_NS - first_ns if again else 0


def publish(steps: Iterable[ReplayStep], publisher: Publisher, pacer: Pacer, copier: Copier = SINGLE) -> None:
    """Publish steps, paced, each record as often as it is copied."""
    unpolled = 0
    for step in steps:
        pacer.wait(step.received_ns)
        for record in step.records:
            kind = type(record)
            for key, payload in copier.of(record):
                publisher.wait(kind, key, payload)
                unpolled += 1
        if unpolled >= POLL_EVERY_RECORDS:
            publisher.poll()
            unpolled = 0


def summary_of(acknowledged: Counter[str], instruments: int, seconds: float) -> dict[str, Any]:
    """Say what was acknowledged, and how fast."""
    records = sum(acknowledged.values())
    return {
        "messages": acknowledged[L2.name] + acknowledged[TRADES.name],
        "l2": acknowledged[L2.name],
        "trades": acknowledged[TRADES.name],
        "derivatives": acknowledged[DERIVATIVES.name],
        "feed_status": acknowledged[FEED_STATUS.name],
        "dead_letters": acknowledged[DEAD_LETTERS.name],
        "instruments": instruments,
        "seconds": round(seconds, 3),
        "records_per_s": round(records / seconds) if seconds else 0,
    }


class Pacer:
    """Waits until a step is due: received time since the first step, over the speed."""

    def __init__(self, speed: float | None, clock: Clock, publisher: Publisher, stop: threading.Event) -> None:
        self._speed = speed
        self._clock = clock
        self._publisher = publisher
        self._stop = stop
        self._began_ns = clock.monotonic_ns()
        self._first_ns: int | None = None

    def wait(self, received_ns: int) -> None:
        """Wait until then, or until told to stop."""
        if self._speed is None:
            return
        if self._first_ns is None:
            self._first_ns = received_ns
        due_ns = self._began_ns + int((received_ns - self._first_ns) / self._speed)
        while (left_ns := due_ns - self._clock.monotonic_ns()) > 0:
            self._publisher.poll()
            if self._stop.wait(min(left_ns / NS_PER_SECOND, MAX_PAUSE_SECONDS)):
                return


_LIMITED = (L2Record, TradeRecord, DerivativeRecord)


class _DiffLimit:
    """Lets records of an instrument pass until its n-th delta."""

    def __init__(self, deltas: int | None, instruments: int) -> None:
        self._deltas = deltas
        self._instruments = instruments
        self._seen: Counter[str] = Counter()

    @property
    def reached(self) -> bool:
        """Whether every instrument has had all it may have."""
        full = sum(count == self._deltas for count in self._seen.values())
        return self._deltas is not None and full == self._instruments

    def pass_on(self, records: list[ProducerRecord]) -> list[ProducerRecord]:
        """Give the records that may still pass."""
        if self._deltas is None:
            return records
        passed: list[ProducerRecord] = []
        for record in records:
            if isinstance(record, _LIMITED) and self._seen[record.symbol] == self._deltas:
                continue
            self._seen[record.symbol] += isinstance(record, L2Record) and record.kind is Kind.DELTA
            passed.append(record)
        return passed


def _moved(records: list[ProducerRecord], shift_ns: int) -> list[ProducerRecord]:
    return [shifted(record, shift_ns) for record in records] if shift_ns else records
