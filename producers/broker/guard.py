"""One process at a time produces an instrument: replays keep away from a live one, and so does a second live producer.

Epochs fence the books of two producers from each other; trades have nothing that would, and would be stored twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from contextlib import closing

import structlog

from obflow import kafka
from obflow.clock import Clock
from obflow.metrics import Metrics
from obflow.settings import Settings
from producers.broker.statuses import NS_PER_MS, Seen, Speaker, StatusReader
from schemas.errors import UsageError
from schemas.messages import FeedState, Source

SILENT_SECONDS = 12.0
"""A producer says every ten seconds, or more often, that it is alive: one silent for this long is gone."""
LOOK_SECONDS = 0.05

log = structlog.get_logger(__name__)


def refuse_where_live(settings: Settings, venue: str, symbols: Iterable[str], clock: Clock) -> None:
    """Make sure that nobody produces these instruments live, or from the simulator, into these topics.

    Raises:
        UsageError: Somebody does.
        BrokerUnreachable: No broker answers.
        TopicMismatch: The topic is not there.
    """
    kafka.require_broker(settings)
    wanted = set(symbols)
    with closing(StatusReader(settings, clock)) as reader:
        live = [seen for seen in reader.recent().values() if _is_live(seen, venue, wanted)]
    if live:
        raise _refusal(live, "replay beside it with --topic-prefix, or stop that producer and wait a minute")


class LiveGuard:
    """Keeps a live producer from being the second one of an instrument.

    A producer that was killed said no word of it: whoever takes its place waits until it has been silent for long
    enough. One that speaks meanwhile is alive.

    Args:
        settings: `kafka` is used.
        venue: The venue.
        symbols: What is to be produced.
        run: What our own statuses carry.
        clock: What is now.
        metrics: Where statuses of others are counted.

    Raises:
        BrokerUnreachable: No broker answers.
        TopicMismatch: The topic is not there.
    """

    def __init__(
        self, settings: Settings, venue: str, symbols: Collection[str], *, run: str, clock: Clock, metrics: Metrics
    ) -> None:
        self._venue = venue
        self._symbols = set(symbols)
        self._run = run
        self._clock = clock
        self._rivals = metrics.counter("obflow_rival_statuses_total", venue=venue)
        self._warned: dict[str, str] = {}  # by symbol: the run that was warned of last
        self._reader = StatusReader(settings, clock)

    async def stand_alone(self, stop: asyncio.Event) -> None:
        """Return once nobody else produces these instruments, or when told to stop.

        Raises:
            UsageError: Somebody else is alive and does.
            BrokerUnreachable: No broker answers.
        """
        recent = await asyncio.to_thread(self._reader.recent)
        suspects = {speaker: left_s for speaker, seen in recent.items() if (left_s := self._doubt_s(seen)) > 0}
        loop = asyncio.get_running_loop()
        deadline = loop.time() + max(suspects.values(), default=0.0)
        if suspects:
            names = sorted({speaker.instrument.symbol for speaker in suspects})
            log.warning("waits_for_another_producer", symbols=names[:5], most_s=round(max(suspects.values()), 1))
        while suspects and loop.time() < deadline and not stop.is_set():
            self._clear(suspects)
            await asyncio.sleep(LOOK_SECONDS)

    def look(self) -> None:
        """Count what others say of these instruments, and warn of each of them once. To be called often."""
        for seen in self._reader.poll():
            if not self._is_rival(seen):
                continue
            self._rivals.inc()
            status = seen.status
            if self._warned.get(status.symbol) != seen.run:
                self._warned[status.symbol] = seen.run
                log.warning(
                    "another_producer",
                    venue=self._venue,
                    symbol=status.symbol,
                    source=str(status.source),
                    epoch=status.epoch,
                    next_step="stop one of them: its trades are stored twice",
                )

    def close(self) -> None:
        """Let go of the broker."""
        self._reader.close()

    def _clear(self, suspects: dict[Speaker, float]) -> None:
        """Take in what is said now: a farewell clears a suspect, any other word is one too many."""
        for seen in self._reader.poll():
            if self._is_rival(seen):
                step = "stop that producer, or set kafka.topic_prefix to topics of this one's own"
                raise _refusal([seen], step)
            suspects.pop(seen.speaker, None)

    def _doubt_s(self, seen: Seen) -> float:
        """For how long the writer of this may still be alive without another word, seconds; not above zero: it is not.

        Clocks may differ: never longer than a producer is silent.
        """
        if not self._is_rival(seen):
            return 0.0
        age_s = (self._clock.now_ns() // NS_PER_MS - seen.written_ms) / 1000
        return SILENT_SECONDS - max(0.0, age_s)

    def _is_rival(self, seen: Seen) -> bool:
        return seen.run != self._run and _is_live(seen, self._venue, self._symbols)


def _is_live(seen: Seen, venue: str, symbols: Collection[str]) -> bool:
    """Whether the last word of its writer is that it produces one of these instruments, and no replay."""
    status = seen.status
    return (
        status.venue == venue
        and status.symbol in symbols
        and status.source is not Source.REPLAY
        and status.state is not FeedState.STOPPED
    )


def _refusal(live: Collection[Seen], next_step: str) -> UsageError:
    names = ", ".join(sorted({seen.status.symbol for seen in live})[:5])
    first = next(iter(live)).status
    return UsageError(
        f"{names} of {first.venue} is produced into these topics right now (source {first.source})",
        next_step=next_step,
    )
