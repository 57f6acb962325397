"""A backfill: what was not played yet of a vendor's days, or of recordings, is played into Kafka in order of time.

What lies together in time, a day of all that was named or recordings that overlap, is one stretch: one stream, merged
by time, that is noted as played once it is. A stretch that was cut off is played anew by the next run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Final, NamedTuple

import structlog

from obflow import kafka_logs, topics
from obflow.cli import run_async
from obflow.clock import SystemClock
from obflow.metrics import Metrics
from obflow.progress import progress
from obflow.settings import Settings
from producers.compilation import find_engine
from producers.exchanges import EXCHANGES
from producers.live.datasets import Day, Fetched, days_of, fetch_days
from producers.live.tardis import venue_at_tardis
from producers.recordings.merged import MergedReplay
from producers.recordings.opened import require_venue
from producers.recordings.playing import PlayedFiles, run_replay
from producers.recordings.replay import EmptyRecording, Replay, ReplayPlan
from producers.settings import ProducerSettings, TardisSettings
from producers.tardis.venues import exchange_in
from schemas.errors import UsageError
from schemas.topics import L2
from schemas.units import NS_PER_SECOND

DATASETS: Final = ("incremental_book_L2", "trades")
BESIDE_BOOKS: Final = frozenset({"trades", "derivative_ticker", "liquidations"})
"""Datasets that are joined to a book of the same instrument; of the others one is its book."""
RECORDING: Final = "recording:"
"""Stands before a file, where an exchange of Tardis may stand."""
SOURCES: Final = "write tardis:binance-futures, or recording:FILE"

log = structlog.get_logger(__name__)


class FilesOfVenue(NamedTuple):
    """Files of one venue that are played as one: the datasets of an instrument, or a recording."""

    venue: str
    files: tuple[Path, ...]


class Backfill(NamedTuple):
    """What is to be filled in.

    Attributes:
        days: Files of Tardis.
        recordings: Recordings; where there are some, there are no days.
        folder: Where files are kept, and what was played.
    """

    days: list[Day]
    recordings: list[Path]
    folder: Path

    @classmethod
    def of(
        cls,
        sources: Sequence[str],
        symbols: Sequence[str],
        datasets: Sequence[str] | None,
        first: str,
        last: str,
        folder: Path,
    ) -> Backfill:
        """Read what was asked for.

        Args:
            sources: Exchanges of Tardis, or recordings.
            symbols: Of each exchange, or `EXCHANGE:SYMBOL`.
            datasets: Which; None is books and trades.
            first: The first day.
            last: The last one.
            folder: Where files are kept.

        Raises:
            UsageError: A source, an exchange, a dataset, a symbol or a day that cannot be.
        """
        files = [Path(source.removeprefix(RECORDING)) for source in sources if source.startswith(RECORDING)]
        names = [exchange_in(source) for source in sources if not source.startswith(RECORDING)]
        if not all(names) or not sources:
            wrong = next((source for source in sources if not exchange_in(source)), "nothing")
            raise UsageError(f"{wrong} is nothing to fill in from", next_step=SOURCES)
        if files and (names or symbols or datasets or first):
            raise UsageError("recordings are filled in whole and by themselves", next_step="name them and --into alone")
        if files:
            return cls([], files, folder)
        if not first:
            raise UsageError("no day is named", next_step="give --from, as --from 2024-08-08")
        chosen = _one_book(datasets or DATASETS)
        days = [day for name in names for day in days_of(name, chosen, _symbols_of(name, names, symbols), first, last)]
        for name in names:
            venue_at_tardis(name)
        return cls(sorted(days, key=lambda day: day.day), [], folder)

    def run(self, settings: Settings, *, speed: float | None, fetch_only: bool) -> dict[str, Any]:
        """Fetch, then play what was not played; a signal ends either, and the next run goes on.

        Raises:
            ExchangeUnreachable: The server refuses the key, or gives no whole file.
            UsageError: As `of`, or what forbids a replay.
            BrokerUnreachable: No broker answers.
        """
        fetched = self._fetch(settings) if self.days else Fetched([], [], [])
        for day in fetched.missing:
            log.warning("day_missing", dataset=day.dataset, symbol=day.symbol, day=f"{day.day}")
        told = {"fetched": len(fetched.came), "kept": len(fetched.kept), "missing": len(fetched.missing)}
        is_cut = sum(told.values()) < len(self.days)
        if fetch_only or is_cut:
            return {**told, "played": 0, "messages": 0}
        stretches = self._stretches(fetched)  # a file that is not there is told before any broker is asked for
        played, messages = _Player(settings, self.folder, speed).play(stretches)
        return {**told, "played": played, "messages": messages}

    def _fetch(self, settings: Settings) -> Fetched:
        with progress("fetching", len(self.days)) as bar:
            return run_async(
                lambda stop: fetch_days(
                    self.days,
                    self.folder,
                    settings.of(TardisSettings),
                    clock=SystemClock(),
                    stop=stop,
                    watch=bar.over,
                )
            )

    def _stretches(self, fetched: Fetched) -> list[list[FilesOfVenue]]:
        """What is there, day by day; recordings are one stretch, which `_Player` takes apart by their times."""
        if self.recordings:
            return [[FilesOfVenue(require_venue(path, None), (path,)) for path in self.recordings]]
        there = {*fetched.came, *fetched.kept}
        days = [day for day in self.days if self.folder / day.name in there]
        return [self._day(list(of_day)) for _, of_day in groupby(days, key=lambda day: day.day)]

    def _day(self, days: list[Day]) -> list[FilesOfVenue]:
        files: dict[tuple[str, str], list[Path]] = {}
        for day in days:
            files.setdefault((day.exchange, day.symbol), []).append(self.folder / day.name)
        return [FilesOfVenue(venue_at_tardis(name).venue, tuple(paths)) for (name, _), paths in files.items()]


class _Player:
    """Plays stretches, each but once into one log.

    Args:
        settings: `kafka`, `clickhouse`, `producer`, `metrics` and `cache` are used.
        folder: Where what was played is noted.
        speed: Received seconds a second; None as fast as the broker takes them.
    """

    def __init__(self, settings: Settings, folder: Path, speed: float | None) -> None:
        name = topics.topic_name(settings, L2)
        self._settings = settings
        self._speed = speed
        self._clock = SystemClock()
        self._played = PlayedFiles(folder, kafka_logs.topic_ids(settings, [name])[name])
        self._engine = find_engine(settings.of(ProducerSettings).engine, settings.cache)
        routine_ns = int(settings.of(ProducerSettings).routine_snapshot_seconds * NS_PER_SECOND)
        self._plan = ReplayPlan(speed=speed, routine_snapshot_ns=routine_ns)

    def play(self, stretches: Iterable[Sequence[FilesOfVenue]]) -> tuple[int, int]:
        """Play what is left of them, in order; gives how many files that was, and messages."""
        count = messages = 0
        metrics = Metrics("replay")
        with metrics.served(self._settings.metrics):
            for stretch in stretches:
                left = [FilesOfVenue(part.venue, tuple(self._played.left(part.files))) for part in stretch]
                for parts in _overlapping(self._looked_through([part for part in left if part.files])):
                    files = [path for part in parts for path in part.paths]
                    log.info("playing", files=[path.name for path in files])
                    merged = MergedReplay(parts, self._speed, self._clock)
                    summary, is_stopped = run_replay(merged, parts, self._settings, clock=self._clock, metrics=metrics)
                    messages += int(summary["messages"])
                    if is_stopped:
                        return count, messages
                    self._played.note(files)
                    count += len(files)
        return count, messages

    def _looked_through(self, parts: Sequence[FilesOfVenue]) -> list[Replay]:
        """Look through the files once; those without an instrument have nothing to play."""
        found = []
        with progress("looking through the recordings"):
            for part in parts:
                try:
                    exchange = EXCHANGES[part.venue]
                    found.append(Replay(part.files, exchange, self._plan, self._clock, self._engine, joined=True))
                except EmptyRecording:
                    log.warning("nothing_to_play", files=[path.name for path in part.files])
        return found


def _overlapping(replays: Sequence[Replay]) -> list[list[Replay]]:
    """Put together what overlaps in time, in order of time."""
    stretches: list[list[Replay]] = []
    end_ns = 0
    for replay in sorted(replays, key=lambda one: one.span_ns):
        first_ns, last_ns = replay.span_ns
        if stretches and first_ns <= end_ns:
            stretches[-1].append(replay)
        else:
            stretches.append([replay])
        end_ns = max(end_ns, last_ns)
    return stretches


def _one_book(datasets: Sequence[str]) -> list[str]:
    """Put the dataset of books first: what was received with it at one moment comes before it."""
    books = [name for name in datasets if name not in BESIDE_BOOKS]
    if len(books) > 1:
        raise UsageError(
            f"{' and '.join(books)} are each the book of an instrument",
            next_step="fill them in one after the other, into topics of their own",
        )
    return [*books, *(name for name in datasets if name in BESIDE_BOOKS)]


def _symbols_of(exchange: str, exchanges: Sequence[str], symbols: Sequence[str]) -> list[str]:
    """Give what is wanted of an exchange: what is named for it, and what is named for all."""
    own = []
    for symbol in symbols:
        name, _, rest = symbol.partition(":")
        if rest and name in exchanges:
            own += [rest] if name == exchange else []
        else:
            own.append(symbol)
    return own
