"""A live producer's process, and a recorder's: start-up, the tasks that run side by side, an orderly end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from obflow import kafka, kafka_logs
from obflow.clock import Clock
from obflow.health import BROKER, beating
from obflow.metrics import Metrics
from obflow.probes import broker_probe, probing
from obflow.settings import Settings
from obflow.topics import topic_name
from producers.books.quality import ClockBounds
from producers.books.records import ProducerRecord
from producers.broker.guard import LiveGuard
from producers.broker.publisher import TOPIC_OF, Publisher
from producers.compilation import find_engine
from producers.contract import Exchange
from producers.live.feed import LiveFeed
from producers.live.gate import HostGate
from producers.live.gate_state import SharedState
from producers.live.listing import find_instruments
from producers.live.production import Production
from producers.live.quality import VenueClock
from producers.live.rest import RestClient
from producers.live.tasks import Provider, run_feed
from producers.messages import Instrument
from producers.recordings.rotating import RotatingWriter, open_writer, written
from producers.recordings.rotation import Rotation
from producers.recordings.writer import FrameWriter
from producers.selection import Selection
from producers.settings import ProducerSettings
from schemas.topics import L2, TRADES
from schemas.units import NS_PER_SECOND

FLUSH_SECONDS = 5.0
RECORDER_PATIENCE_SECONDS = 10.0
"""A recorder waits so long for a venue that does not answer at its start, and no longer than it is to record."""

log = structlog.get_logger(__name__)


async def produce(
    exchange: Exchange,
    wanted: Selection | Sequence[str],
    settings: Settings,
    *,
    clock: Clock,
    metrics: Metrics,
    stop: asyncio.Event,
    recording: Path | None = None,
    rotation: Rotation | None = None,
    on_feed: Callable[[LiveFeed], None] = lambda _: None,
    provider: Provider | None = None,
) -> dict[str, Any]:
    """Produce instruments until told to stop.

    Args:
        exchange: The venue.
        wanted: Instruments, as the venue writes them, or what else selects some.
        settings: `kafka` and `producer` are used.
        clock: When things are received.
        metrics: Where counts are shown.
        stop: Ends it.
        recording: Also keep every frame in this file; with a rotation in this folder.
        rotation: When a part ends and the next begins; None: all is one file.
        on_feed: Is given the feed before its first connection, to watch it.
        provider: Who brings the venue's data; None where the venue does.

    Returns:
        What was published, and the state of each book at the end.

    Raises:
        BrokerUnreachable, TopicMismatch: At the start.
        FatalError: The disk that is recorded to is full.
        DependencyError: The compiled engine is wanted, and does not work here.
        UsageError: The venue does not trade a symbol, another process produces one of them already, or topics or
            tables hold one of them from another source.
        DeliveryFailed: The broker did not take a record in time.
    """
    kafka.require_broker(settings)
    kafka_logs.topic_ids(settings, [topic_name(settings, topic) for topic in TOPIC_OF.values()])
    selection = wanted if isinstance(wanted, Selection) else Selection(tuple(wanted))
    engine = await asyncio.to_thread(find_engine, settings.of(ProducerSettings).engine, settings.cache)
    async with AsyncExitStack() as held:
        producer = Production(exchange, selection, settings, clock, metrics, stop, held)
        feed = None
        async with AsyncExitStack() as around:
            await _show_health(around, settings, metrics)
            guard = None if selection.is_open else await producer.stand_alone(selection.named)
            recorded_as = provider.name if provider else exchange.venue
            tap = open_writer(recording, recorded_as, selection.named, rotation) if recording else None
            around.enter_context(tap or nullcontext())
            rest = await around.enter_async_context(_rest(exchange, settings, clock, metrics, producer.venue_clock))
            listed = await find_instruments(rest, exchange, selection, clock=clock, stop=stop, tap=tap)
            if listed:
                guard = guard or await producer.stand_alone(listed)
                feed = producer.feed(listed, tap, engine)
                on_feed(feed)
                _begin_parts(tap, feed)
                await _take_over(producer, feed, guard, stop)
                background = producer.background(feed, rest, listed, guard)
                on_tick = partial(producer.on_tick, feed, guard)
                await run_feed(feed, rest, exchange, settings, stop, on_tick, tap, provider, background)
        await asyncio.to_thread(producer.publisher.flush, FLUSH_SECONDS)
        return _summary(exchange, producer.publisher, feed)


async def _show_health(around: AsyncExitStack, settings: Settings, metrics: Metrics) -> None:
    """Say on the role's page that the loop moves and whether the broker answers, as long as the block runs."""
    await around.enter_async_context(beating(metrics.health))
    around.enter_context(probing(metrics.health, {BROKER: broker_probe(settings)}))


async def _take_over(producer: Production, feed: LiveFeed, guard: LiveGuard, stop: asyncio.Event) -> None:
    """Have the instruments be this process's alone, and know the trades that are on the log."""
    feed.send_heartbeats()  # from here on, whoever would produce the same instruments knows of this feed
    await guard.claim(producer.publisher, producer.source, stop)
    await producer.know_trades(feed, list(feed.router.streams))


async def record(
    exchange: Exchange,
    symbols: Sequence[str],
    settings: Settings,
    *,
    clock: Clock,
    stop: asyncio.Event,
    path: Path,
    rotation: Rotation | None = None,
    seconds: float | None = None,
    on_feed: Callable[[LiveFeed], None] = lambda _: None,
    provider: Provider | None = None,
) -> dict[str, Any]:
    """Keep every frame of these instruments in a file, and fetch the books that a reader of it will need.

    Args:
        exchange: The venue.
        symbols: Instruments, as the venue writes them.
        settings: `producer` is used.
        clock: When things are received.
        stop: Ends it.
        path: A new file; with a rotation a folder.
        rotation: When a part ends and the next begins; None: all is one file.
        seconds: Ends it after so long.
        on_feed: Is given the feed before its first connection, to watch it.
        provider: Who brings the venue's data; None where the venue does.

    Returns:
        What the file holds; there is none where it was stopped before anything came.

    Raises:
        UsageError: The file is there already, the folder cannot be used, or the venue does not trade a symbol.
        FatalError: The disk is full.
        ExchangeUnreachable: The venue does not answer.
    """
    metrics = Metrics("recorder")
    patience_s = min(RECORDER_PATIENCE_SECONDS, seconds or RECORDER_PATIENCE_SECONDS)
    with open_writer(path, provider.name if provider else exchange.venue, symbols, rotation) as tap:
        async with _rest(exchange, settings, clock, metrics, VenueClock()) as rest:
            instruments = await find_instruments(
                rest, exchange, symbols, clock=clock, stop=stop, tap=tap, patience_s=patience_s
            )
            feed = _unpublished_feed(exchange, instruments, settings, clock, metrics, tap)
            on_feed(feed)
            _begin_parts(tap, feed)
            if instruments:
                with _stopped_after(seconds, stop):
                    await run_feed(feed, rest, exchange, settings, stop, lambda: None, tap, provider)
    return {"venue": exchange.venue, **written(tap, path), "instruments": _books(feed)}


def _unpublished_feed(
    exchange: Exchange,
    instruments: Mapping[str, Instrument],
    settings: Settings,
    clock: Clock,
    metrics: Metrics,
    tap: FrameWriter,
) -> LiveFeed:
    """Make a feed that only keeps its frames, and knows which books are needed."""
    return LiveFeed(
        exchange,
        instruments,
        settings.of(ProducerSettings),
        clock=clock,
        metrics=metrics,
        sink=_Nowhere(),
        is_outdated=lambda _: False,
        tap=tap.write,
    )


@contextmanager
def _stopped_after(seconds: float | None, stop: asyncio.Event) -> Iterator[None]:
    """Stop after so long, where that is said, if the block has not ended before."""
    timer = asyncio.get_running_loop().call_later(seconds, stop.set) if seconds else None
    try:
        yield
    finally:
        if timer is not None:
            timer.cancel()


def _begin_parts(tap: FrameWriter | None, feed: LiveFeed) -> None:
    """Have a whole book of each instrument in each part."""
    if isinstance(tap, RotatingWriter):
        tap.on_part = feed.ask_for_books


class _Nowhere:
    """A sink for a recorder, whose streams only say which books are needed."""

    waiting = 0

    def offer(self, record: ProducerRecord) -> bool:
        """There is always room."""
        del record
        return True


def gate_file(exchange: Exchange) -> str:
    """Name the file of a venue's gate, which venues share that count an address together."""
    return f"{exchange.limits.pool or exchange.venue}.gate.json"


def _rest(
    exchange: Exchange, settings: Settings, clock: Clock, metrics: Metrics, venue_clock: VenueClock
) -> RestClient:
    """Make the REST interface, behind the gate that handshakes share, and other processes where told so."""
    producer = settings.of(ProducerSettings)
    folder = producer.shared_gate_folder
    state = SharedState(Path(folder) / gate_file(exchange)) if folder else None
    gate = HostGate(exchange.limits, clock=clock, state=state)
    url = producer.rest_url or exchange.endpoints.rest

    def note_clock(low_s: float, high_s: float) -> None:
        metrics.gauge("obflow_clock_offset_seconds", venue=exchange.venue).set((low_s + high_s) / 2)
        venue_clock.note(ClockBounds(int(low_s * NS_PER_SECOND), int(high_s * NS_PER_SECOND)))

    return RestClient(exchange, url, producer.max_frame_bytes, gate, clock=clock, on_clock=note_clock)


def _summary(exchange: Exchange, publisher: Publisher, feed: LiveFeed | None) -> dict[str, Any]:
    acknowledged = publisher.acknowledged
    return {
        "venue": exchange.venue,
        "messages": acknowledged[L2.name] + acknowledged[TRADES.name],
        "acknowledged": dict(acknowledged),
        "rejected": dict(feed.router.rejected) if feed else {},
        "shed": dict(feed.outlet.shed) if feed else {},
        "instruments": _books(feed) if feed else {},
    }


def _books(feed: LiveFeed) -> Mapping[str, Any]:
    return {
        symbol: {
            "canonical": stream.instrument.canonical,
            "live": stream.is_live,
            "reason": stream.reason,
            "sequence": stream.tracked.sequence,
            "epoch": stream.epoch,
            "snapshots": stream.counters.snapshots,
            "deltas_applied": stream.counters.deltas_applied,
            "duplicates": stream.counters.duplicates,
            "gaps": stream.counters.gaps,
            "trades": stream.counters.trades,
            "derivatives": stream.counters.derivatives,
            "trades_off_grid": stream.counters.trades_off_grid,
        }
        for symbol, stream in feed.router.streams.items()
    }
