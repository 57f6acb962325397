"""Plays recordings into Kafka, after everything that would forbid it has been asked; and remembers what was played."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import msgspec

from obflow.clock import Clock
from obflow.lifecycle import stop_on_signal
from obflow.metrics import Metrics
from obflow.progress import progress
from obflow.settings import Settings
from producers.broker.earlier import refuse_replayed
from producers.broker.guard import refuse_where_live
from producers.broker.publisher import Publisher
from producers.compilation import find_engine
from producers.contract import Exchange
from producers.recordings.digests import digest_of
from producers.recordings.merged import MergedReplay
from producers.recordings.replay import Replay, ReplayPlan
from producers.settings import ProducerSettings
from schemas.errors import UsageError

PLAYED = "played.jsonl"
"""Beside fetched files: one line of each that was played to its end."""


def play(
    files: Sequence[Path],
    exchange: Exchange,
    plan: ReplayPlan,
    settings: Settings,
    *,
    clock: Clock,
    metrics: Metrics,
    again: bool,
) -> tuple[dict[str, Any], bool]:
    """Play recordings one after the other, until they end or a signal comes.

    Returns what was acknowledged, and whether a signal came.

    Args:
        files: Recordings, or datasets of Tardis.
        exchange: The venue they are of.
        plan: How.
        settings: `kafka`, `clickhouse` and `producer` are used.
        clock: The time.
        metrics: Where it is counted.
        again: Whether what was replayed before may be.

    Raises:
        UsageError: It was, or the instruments are produced live, or a file cannot be played.
        BrokerUnreachable: No broker answers.
        DependencyError: The compiled engine is wanted, and does not work here.
    """
    engine = find_engine(settings.of(ProducerSettings).engine, settings.cache)
    with progress("looking through the recordings"):
        replay = Replay(files, exchange, plan, clock, engine)
    digests = () if again else replay.digests()
    return run_replay(replay, [replay], settings, clock=clock, metrics=metrics, digests=digests)


def run_replay(
    recordings: Replay | MergedReplay,
    parts: Sequence[Replay],
    settings: Settings,
    *,
    clock: Clock,
    metrics: Metrics,
    digests: Collection[str] = (),
) -> tuple[dict[str, Any], bool]:
    """Play what was looked through, unless its instruments are produced live; returns and raises as `play`.

    Args:
        recordings: What is played.
        parts: What it consists of.
        settings: `kafka` and `producer` are used.
        clock: The time.
        metrics: Where it is counted.
        digests: Of files that must not have been replayed before.
    """
    for venue in dict.fromkeys(part.venue for part in parts):
        targets = [symbol for part in parts if part.venue == venue for symbol in part.targets()]
        refuse_where_live(settings, venue, targets, clock)
    if digests:
        refuse_replayed(settings, digests)
    with stop_on_signal() as stop:
        publisher = Publisher(settings, metrics, clock.now_ns, each_report=False)
        deadline_s = settings.of(ProducerSettings).delivery_timeout_seconds
        try:
            with progress("replaying", recordings.steps) as bar:
                summary = recordings.run(publisher, stop, flush_seconds=deadline_s + 10.0, watch=bar.over)
        finally:
            publisher.close()
        return summary, stop.is_set()


class _PlayedFile(msgspec.Struct):
    name: str
    sha256: str
    log: str


class PlayedFiles:
    """What of a folder was played into a log, so that a backfill that was cut off goes on with the next file.

    Args:
        folder: The folder.
        log: Id of the topic: what was played into another was not played into this one.
    """

    def __init__(self, folder: Path, log: str) -> None:
        self._path = folder / PLAYED
        self._log = log
        self._played: set[tuple[str, str]] = set()
        for line in self._path.read_bytes().splitlines() if self._path.exists() else ():
            try:
                one = msgspec.json.decode(line, type=_PlayedFile)
            except msgspec.DecodeError:  # cut off as it was written: played again, as a new run
                continue
            if one.log == log:
                self._played.add((one.name, one.sha256))

    def left(self, files: Sequence[Path]) -> list[Path]:
        """Give those that were not played to their end, or not as they are now."""
        return [path for path in files if (path.name, digest_of(path)) not in self._played]

    def note(self, files: Sequence[Path]) -> None:
        """Write down that these were played to their end: all of them, or none.

        Raises:
            UsageError: The folder cannot be written.
        """
        lines = [msgspec.json.encode(_PlayedFile(path.name, digest_of(path), self._log)) for path in files]
        try:
            with self._path.open("ab") as file:
                file.write(b"\n" + b"\n".join(lines) + b"\n")
        except OSError as error:
            raise UsageError(
                f"{self._path} cannot be written ({error.strerror})", next_step="name another folder"
            ) from None
