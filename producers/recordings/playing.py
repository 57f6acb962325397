"""Plays recordings into Kafka, after everything that would forbid it has been asked; and remembers what was played."""

from __future__ import annotations

from collections.abc import Sequence
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
from producers.recordings.reader import digest_of
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
        recordings = Replay(files, exchange, plan, clock, engine)
    refuse_where_live(settings, exchange.venue, recordings.targets(), clock)
    if not again:
        refuse_replayed(settings, recordings.digests())
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
        self._digests: dict[str, str] = {}
        for line in self._path.read_bytes().splitlines() if self._path.exists() else ():
            try:
                one = msgspec.json.decode(line, type=_PlayedFile)
            except msgspec.DecodeError:  # cut off as it was written: played again, as a new run
                continue
            if one.log == log:
                self._digests[one.name] = one.sha256

    def left(self, files: Sequence[Path]) -> list[Path]:
        """Give those that were not played to their end, or not as they are now."""
        return [path for path in files if self._digests.get(path.name) != digest_of(path)]

    def note(self, path: Path) -> None:
        """Write down that a file was played to its end.

        Raises:
            UsageError: The folder cannot be written.
        """
        line = b"\n" + msgspec.json.encode(_PlayedFile(path.name, digest_of(path), self._log)) + b"\n"
        try:
            with self._path.open("ab") as file:
                file.write(line)
        except OSError as error:
            raise UsageError(
                f"{self._path} cannot be written ({error.strerror})", next_step="name another folder"
            ) from None
