"""One process at a time produces an instrument: replays keep away from a live one, and so does a second live producer.

Epochs fence the books of two producers from each other; trades have nothing that would, and would be stored twice. So
nothing is published before `LiveGuard.claim` returns; who goes on of those that start together, `contest` decides.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from contextlib import closing
from typing import Protocol

import structlog

from obflow import kafka
from obflow.clock import Clock
from obflow.kafka_errors import unreachable
from obflow.metrics import Metrics
from obflow.settings import Settings
from producers.broker.statuses import SeenStatus, Speaker, StatusReader
from producers.contest import Contest, Word
from schemas.errors import UsageError
from schemas.messages import FeedState, FeedStatus, Source
from schemas.units import MS_PER_SECOND, NS_PER_MS

SILENT_SECONDS = 12.0
"""A producer says every ten seconds, or more often, that it is alive: one silent for this long is gone."""
REMEMBERED_MS = 3_600_000
"""What was said longer ago is forgotten."""
LOOK_SECONDS = 0.05
FLUSH_SECONDS = 10.0
APART = "stop that producer, or set kafka.topic_prefix to topics of this one's own"

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


class StatusPublisher(Protocol):
    """The way to the broker."""

    def offer(self, record: FeedStatus) -> bool:
        """Hand over one status; False where the queue is full."""
        ...

    def flush(self, seconds: float) -> None:
        """Wait until everything handed over is acknowledged."""
        ...


class LiveGuard:
    """Keeps a live producer from being the second one of an instrument.

    A producer that was killed said no word of it: whoever takes its place waits until it has been silent for long
    enough. One that speaks meanwhile is alive. To be used in this order: `stand_alone`, `claim`, then `look` for as
    long as it produces.

    Args:
        settings: `kafka` is used.
        venue: The venue.
        symbols: What is to be produced.
        run: What our own statuses carry.
        clock: What is now.
        metrics: Where statuses of others are counted.
        share: Among which producers a lease decides who produces what (`leases`): these are no rivals. Empty: none.

    Raises:
        BrokerUnreachable: No broker answers.
        TopicMismatch: The topic is not there.
    """

    def __init__(
        self,
        settings: Settings,
        venue: str,
        symbols: Collection[str],
        *,
        run: str,
        clock: Clock,
        metrics: Metrics,
        share: str = "",
    ) -> None:
        self._venue = venue
        self._symbols = set(symbols)
        self._run = run
        self._clock = clock
        self._rivals = metrics.counter("obflow_rival_statuses_total", venue=venue)
        self._warned: dict[str, str] = {}  # by symbol: the run that was warned of last
        self._settings = settings
        self._contest = Contest(run, self._symbols)
        self._batch: Contest | None = None  # of what is being admitted
        self._share = share
        self._newest: dict[Speaker, SeenStatus] = {}
        self._reader = StatusReader(settings, clock)

    async def stand_alone(self, stop: asyncio.Event) -> None:
        """Return once nobody else produces these instruments, or when told to stop.

        Raises:
            UsageError: Somebody else is alive and does.
            BrokerUnreachable: No broker answers.
        """
        recent = await asyncio.to_thread(self._reader.recent)
        self._newest.update(
            (speaker, seen) for speaker, seen in recent.items() if speaker.instrument.venue == self._venue
        )
        suspects = {speaker: left_s for speaker, seen in recent.items() if (left_s := self._doubt_s(seen)) > 0}
        loop = asyncio.get_running_loop()
        deadline = loop.time() + max(suspects.values(), default=0.0)
        if suspects:
            names = sorted({speaker.instrument.symbol for speaker in suspects})
            log.warning("waits_for_another_producer", symbols=names[:5], most_s=round(max(suspects.values()), 1))
        while suspects and loop.time() < deadline and not stop.is_set():
            self._clear(suspects)
            await asyncio.sleep(LOOK_SECONDS)

    async def claim(self, publisher: StatusPublisher, source: Source, stop: asyncio.Event) -> None:
        """Return once nobody else may begin, or when told to stop. The first status of each feed is its claim.

        Args:
            publisher: Of the run this guard was made with; the first status of each instrument was handed to it.
            source: What the statuses carry.
            stop: Ends the waiting.

        Raises:
            UsageError: Another producer goes on; this one has said its farewell.
            DeliveryFailed: The broker did not take the claims.
            BrokerUnreachable: They could not be read back in time.
        """
        await asyncio.to_thread(publisher.flush, FLUSH_SECONDS)
        lost_to = await self._wait_for_rivals(stop)
        if lost_to is not None:
            await self._say_farewell(publisher, source, self._symbols)
            raise _refusal([lost_to], APART)

    def look(self) -> None:
        """Count what others say of these instruments, and warn of each of them once. To be called often.

        Raises:
            UsageError: Another producer of them has begun all the same, and it is for this one to give way.
        """
        self._contest.begin()
        for seen in self._reader.poll():
            lost_to = self._hear(seen)
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
                    next_step="it gives way by itself; stop it if it does not: its trades are stored twice",
                )
            if lost_to is not None:
                raise _refusal([lost_to], APART)

    def free_of_rivals(self, symbols: Iterable[str]) -> list[str]:
        """Choose from instruments those that nobody else was heard to produce lately."""
        now_ms = self._clock.now_ns() // NS_PER_MS
        self._newest = {who: seen for who, seen in self._newest.items() if now_ms - seen.written_ms < REMEMBERED_MS}
        recent = {
            who: seen for who, seen in self._newest.items() if now_ms - seen.written_ms < SILENT_SECONDS * MS_PER_SECOND
        }
        taken = {who.instrument.symbol for who, seen in recent.items() if self._is_live_rival(seen)}
        return [symbol for symbol in symbols if symbol not in taken]

    def epoch_of(self, symbol: str) -> int:
        """The highest epoch that anybody was heard to have come to of an instrument; 0 where nobody was heard."""
        epochs = (seen.status.epoch for who, seen in self._newest.items() if who.instrument.symbol == symbol)
        return max(epochs, default=0)

    async def admit(self, publisher: StatusPublisher, source: Source, symbols: Collection[str]) -> list[str]:
        """Begin to produce instruments more, once nobody else may; gives those that are ours. `look` has to run beside.

        Args:
            publisher: As of `claim`; the first status of each of them was handed to it.
            source: What statuses carry.
            symbols: The instruments, none of them produced yet.

        Raises:
            BrokerUnreachable: The claims could not be read back in time.
        """
        batch = self._batch = Contest(self._run, symbols)
        self._symbols.update(symbols)
        try:
            is_won = await self._wait_for_batch(batch)
        finally:
            self._batch = None
        if is_won:
            return list(symbols)
        self._symbols.difference_update(symbols)
        await self._say_farewell(publisher, source, symbols)
        return []

    def release(self, symbols: Iterable[str]) -> None:
        """Note that instruments are produced no longer: who does is no rival."""
        self._symbols.difference_update(symbols)

    async def _wait_for_batch(self, batch: Contest) -> bool:
        loop, patience_s = asyncio.get_running_loop(), self._settings.kafka.request_timeout_seconds
        began = silent_since = loop.time()
        before = 0
        while not batch.may_begin and batch.lost_to is None:
            await asyncio.sleep(LOOK_SECONDS)
            silent_since = loop.time() if batch.suspects > before else silent_since
            before = batch.suspects
            if loop.time() - silent_since > SILENT_SECONDS:
                batch.forget_the_silent()
            if not batch.has_read_its_claims and loop.time() - began > patience_s:
                raise unreachable(self._settings, f"claims could not be read back within {patience_s:g} s")
        return batch.may_begin

    def close(self) -> None:
        """Let go of the broker."""
        self._reader.close()

    async def _say_farewell(self, publisher: StatusPublisher, source: Source, symbols: Collection[str]) -> None:
        """Take claims back; as heartbeats, which no table stores: the feeds that go on are another producer's."""
        now_ns = self._clock.now_ns()
        for symbol in sorted(symbols):
            detail = "gives way to another producer"
            status = FeedStatus(
                self._venue, symbol, source, FeedState.STOPPED, 0, now_ns, heartbeat=True, detail=detail
            )
            while not publisher.offer(status):
                await asyncio.to_thread(publisher.flush, FLUSH_SECONDS)
        await asyncio.to_thread(publisher.flush, FLUSH_SECONDS)

    async def _wait_for_rivals(self, stop: asyncio.Event) -> SeenStatus | None:
        """What makes this producer give way; None where nothing does."""
        loop, patience_s = asyncio.get_running_loop(), self._settings.kafka.request_timeout_seconds
        give_up, silent_since, before = loop.time() + patience_s, loop.time(), 0
        while not self._contest.may_begin and not stop.is_set():
            for seen in self._reader.poll():
                if lost_to := self._hear(seen):
                    return lost_to
            if self._contest.suspects > before:
                silent_since = loop.time()
            before = self._contest.suspects
            if loop.time() - silent_since > SILENT_SECONDS:
                self._contest.forget_the_silent()
            if not self._contest.has_read_its_claims and loop.time() > give_up:
                raise unreachable(self._settings, f"claims could not be read back within {patience_s:g} s")
            await asyncio.sleep(LOOK_SECONDS)
        return None

    def _hear(self, seen: SeenStatus) -> SeenStatus | None:
        """Take in one status; gives it back where it makes this producer give way."""
        status, lost_before = seen.status, self._contest.lost_to
        if status.venue == self._venue:
            self._newest[seen.speaker] = seen
        of_ours = status.venue == self._venue and status.symbol in self._symbols
        if not of_ours or self._is_no_matter(seen) or (status.source is Source.REPLAY and seen.run != self._run):
            return None
        word = Word(status.symbol, seen.run, status.state is FeedState.STOPPED)
        if self._batch is not None and self._batch.is_about(status.symbol):
            self._batch.hear(word)
            return None
        self._contest.hear(word)
        return seen if self._contest.lost_to is not lost_before else None

    def _clear(self, suspects: dict[Speaker, float]) -> None:
        """Take in what is said now: a farewell clears a suspect, any other word is one too many."""
        for seen in self._reader.poll():
            if self._is_rival(seen):
                raise _refusal([seen], APART)
            suspects.pop(seen.speaker, None)

    def _doubt_s(self, seen: SeenStatus) -> float:
        """For how long the writer of this may still be alive without another word, seconds; not above zero: it is not.

        Clocks may differ: never longer than a producer is silent.
        """
        if not self._is_rival(seen):
            return 0.0
        age_s = (self._clock.now_ns() // NS_PER_MS - seen.written_ms) / 1000
        return SILENT_SECONDS - max(0.0, age_s)

    def _is_rival(self, seen: SeenStatus) -> bool:
        return self._is_live_rival(seen) and seen.status.symbol in self._symbols

    def _is_live_rival(self, seen: SeenStatus) -> bool:
        others = seen.run != self._run and not self._is_no_matter(seen)
        return others and _is_live(seen, self._venue, {seen.status.symbol})

    def _is_no_matter(self, seen: SeenStatus) -> bool:
        """Whether a lease decides between its speaker and this producer."""
        return bool(self._share) and seen.share == self._share and seen.run != self._run


def _is_live(seen: SeenStatus, venue: str, symbols: Collection[str]) -> bool:
    """Whether the last word of its writer is that it produces one of these instruments, and no replay."""
    status = seen.status
    return (
        status.venue == venue
        and status.symbol in symbols
        and status.source is not Source.REPLAY
        and status.state is not FeedState.STOPPED
    )


def _refusal(live: Collection[SeenStatus], next_step: str) -> UsageError:
    names = ", ".join(sorted({seen.status.symbol for seen in live})[:5])
    first = next(iter(live)).status
    return UsageError(
        f"{names} of {first.venue} is produced into these topics right now (source {first.source})",
        next_step=next_step,
    )
