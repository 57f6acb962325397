"""A backfill: days of a vendor's data are fetched, and each that has not been played yet is played into Kafka."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import structlog

from obflow import kafka, topics
from obflow.cli import run_async
from obflow.clock import SystemClock
from obflow.metrics import Metrics
from obflow.progress import progress
from obflow.settings import Settings
from producers.contract import Exchange
from producers.live.datasets import Day, Fetched, days_of, fetch_days
from producers.live.tardis import venue_at_tardis
from producers.recordings.playing import PlayedFiles, play
from producers.recordings.replay import ReplayPlan
from producers.settings import ProducerSettings, TardisSettings
from producers.tardis.venues import exchange_in
from schemas.errors import UsageError
from schemas.topics import L2
from schemas.units import NS_PER_SECOND

DATASETS: Final = ("incremental_book_L2", "trades")
log = structlog.get_logger(__name__)


class Backfill(NamedTuple):
    """What is to be filled in.

    Attributes:
        exchange: The venue that the data are of.
        days: The files.
        folder: Where they are kept.
    """

    exchange: Exchange
    days: list[Day]
    folder: Path

    @classmethod
    def of(
        cls, source: str, symbols: Sequence[str], datasets: Sequence[str] | None, first: str, last: str, folder: Path
    ) -> Backfill:
        """Read what was asked for.

        Raises:
            UsageError: A source, an exchange, a dataset, a symbol or a day that cannot be.
        """
        name = exchange_in(source)
        if not name:
            raise UsageError(f"{source} is nothing to fill in from", next_step="write tardis:binance-futures")
        days = days_of(name, datasets or DATASETS, symbols, first, last)
        return cls(venue_at_tardis(name), days, folder)

    def run(self, settings: Settings, *, speed: float | None, fetch_only: bool) -> dict[str, Any]:
        """Fetch, then play what was not played; a signal ends either, and the next run goes on.

        Raises:
            ExchangeUnreachable: The server refuses the key, or gives no whole file.
            UsageError: As `of`, or what forbids a replay.
            BrokerUnreachable: No broker answers.
        """
        fetched = self._fetch(settings)
        for day in fetched.missing:
            log.warning("day_missing", dataset=day.dataset, symbol=day.symbol, day=f"{day.day}")
        told = {"fetched": len(fetched.came), "kept": len(fetched.kept), "missing": len(fetched.missing)}
        is_cut = sum(told.values()) < len(self.days)
        if fetch_only or is_cut:
            return {**told, "played": 0, "messages": 0}
        played, messages = self._play(self._in_order(fetched), settings, speed)
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

    def _in_order(self, fetched: Fetched) -> list[Path]:
        """Give what is there, in the order of the days."""
        there = {*fetched.came, *fetched.kept}
        return [path for path in (self.folder / day.name for day in self.days) if path in there]

    def _play(self, files: Sequence[Path], settings: Settings, speed: float | None) -> tuple[int, int]:
        name = topics.topic_name(settings, L2)
        played = PlayedFiles(self.folder, kafka.topic_ids(settings, [name])[name])
        routine_ns = int(settings.of(ProducerSettings).routine_snapshot_seconds * NS_PER_SECOND)
        plan, metrics = ReplayPlan(speed=speed, routine_snapshot_ns=routine_ns), Metrics("replay")
        count = messages = 0
        with metrics.served(settings.metrics):
            for path in played.left(files):
                log.info("playing", file=path.name)
                summary, is_stopped = play(
                    [path], self.exchange, plan, settings, clock=SystemClock(), metrics=metrics, again=True
                )
                messages += int(summary["messages"])
                if is_stopped:
                    break
                played.note(path)
                count += 1
        return count, messages
