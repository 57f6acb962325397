"""A live producer's process, and a recorder's: start-up, the tasks that run side by side, an orderly end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import structlog

from obflow import kafka
from obflow.backoff import Backoff
from obflow.clock import Clock
from obflow.metrics import Metrics
from obflow.settings import Settings
from obflow.topics import topic_name
from producers.books.records import ProducerRecord
from producers.broker.guard import LiveGuard
from producers.broker.publisher import TOPIC_OF, Publisher
from producers.broker.resyncs import ResyncReader
from producers.contract import Exchange, Fetch, LiveFrameSource
from producers.live.feed import LiveFeed
from producers.live.rest import RequestRefused, RestClient
from producers.live.snapshots import BookRecovery
from producers.messages import Frame, Instrument, InstrumentList, Via
from producers.recordings.writer import RecordingWriter
from producers.settings import ProducerSettings
from schemas.errors import Backpressure, ExchangeUnreachable, FrameTooLarge, MessageError, UsageError
from schemas.messages import Source
from schemas.topics import L2, TRADES

TICK_SECONDS = 0.02
FLUSH_SECONDS = 5.0
RECORDER_PATIENCE_SECONDS = 30.0
FILE_FLUSH_SECONDS = 1.0
SHOW_SECONDS = 1.0

log = structlog.get_logger(__name__)


async def produce(
    exchange: Exchange,
    symbols: Sequence[str],
    settings: Settings,
    *,
    clock: Clock,
    metrics: Metrics,
    stop: asyncio.Event,
    recording: Path | None = None,
    on_feed: Callable[[LiveFeed], None] = lambda _: None,
) -> dict[str, Any]:
    """Produce instruments until told to stop.

    Args:
        exchange: The venue.
        symbols: Instruments, as the venue writes them.
        settings: `kafka` and `producer` are used.
        clock: When things are received.
        metrics: Where counts are shown.
        stop: Ends it.
        recording: Also keep every frame in this file.
        on_feed: Is given the feed before its first connection, to watch it.

    Returns:
        What was published, and the state of each book at the end.

    Raises:
        BrokerUnreachable, TopicMismatch: At the start.
        UsageError: The venue does not trade a symbol, or another process produces one of them already.
        DeliveryFailed: The broker did not take a record in time.
    """
    chosen = settings.of(ProducerSettings)
    kafka.require_broker(settings)
    kafka.topic_ids(settings, [topic_name(settings, topic) for topic in TOPIC_OF.values()])
    requests = ResyncReader(settings, exchange.venue)
    publisher = Publisher(settings, metrics, clock.now_ns)
    guard = LiveGuard(settings, exchange.venue, symbols, run=publisher.run, clock=clock, metrics=metrics)
    try:
        await guard.stand_alone(stop)
        with RecordingWriter(recording) if recording else nullcontext() as tap:
            async with RestClient(exchange, chosen.rest_url or exchange.endpoints.rest, chosen.max_frame_bytes) as rest:
                instruments = await find_instruments(rest, exchange, symbols, clock=clock, stop=stop, tap=tap)
                if not instruments:
                    return _summary(exchange, publisher, None)
                feed = LiveFeed(
                    exchange,
                    instruments,
                    chosen,
                    clock=clock,
                    metrics=metrics,
                    sink=publisher,
                    is_outdated=lambda request: publisher.is_before_mark(
                        request.symbol, request.source_partition, request.source_offset
                    ),
                    tap=tap.write if tap else None,
                )
                on_feed(feed)
                feed.send_heartbeats()  # from here on, whoever would produce the same instruments knows of this feed
                await guard.claim(publisher, Source(chosen.source), stop)

                def on_tick() -> None:
                    publisher.poll()
                    guard.look()
                    feed.on_requests(*requests.poll())

                await _run(feed, rest, exchange, settings, stop, on_tick, tap)
        await asyncio.to_thread(publisher.flush, FLUSH_SECONDS)
        return _summary(exchange, publisher, feed)
    finally:
        publisher.close()
        requests.close()
        guard.close()


async def record(
    exchange: Exchange,
    symbols: Sequence[str],
    settings: Settings,
    *,
    clock: Clock,
    stop: asyncio.Event,
    path: Path,
    seconds: float | None = None,
) -> dict[str, Any]:
    """Keep every frame of these instruments in a file, and fetch the books that a reader of it will need.

    Args:
        exchange: The venue.
        symbols: Instruments, as the venue writes them.
        settings: `producer` is used.
        clock: When things are received.
        stop: Ends it.
        path: A new file.
        seconds: Ends it after so long.

    Returns:
        What the file holds; there is none where it was stopped before anything came.

    Raises:
        UsageError: The file is there already, or the venue does not trade a symbol.
        ExchangeUnreachable: The venue does not answer.
    """
    chosen = settings.of(ProducerSettings)
    with RecordingWriter(path) as tap:
        async with RestClient(exchange, chosen.rest_url or exchange.endpoints.rest, chosen.max_frame_bytes) as rest:
            instruments = await find_instruments(
                rest, exchange, symbols, clock=clock, stop=stop, tap=tap, patience_s=RECORDER_PATIENCE_SECONDS
            )
            feed = LiveFeed(
                exchange,
                instruments,
                chosen,
                clock=clock,
                metrics=Metrics("recorder"),
                sink=_Nowhere(),
                is_outdated=lambda _: False,
                tap=tap.write,
            )
            if instruments:
                timer = asyncio.get_running_loop().call_later(seconds, stop.set) if seconds else None
                await _run(feed, rest, exchange, settings, stop, lambda: None, tap)
                if timer is not None:
                    timer.cancel()
        lines = tap.lines
    return {"venue": exchange.venue, "lines": lines, "file": str(path) if lines else None, "instruments": _books(feed)}


async def find_instruments(
    rest: RestClient,
    exchange: Exchange,
    symbols: Sequence[str],
    *,
    clock: Clock,
    stop: asyncio.Event,
    tap: RecordingWriter | None,
    patience_s: float | None = None,
) -> dict[str, Instrument]:
    """Find the instruments and their grids in the venue's list; ask again until it answers.

    A venue that refuses a list of these names alone is asked for all of them.

    Args:
        rest: The venue's REST interface.
        exchange: The venue.
        symbols: What is wanted.
        clock: When the list was received.
        stop: Ends the asking; then there are none.
        tap: Keeps the list.
        patience_s: Give up after so long; None never does.

    Raises:
        UsageError: The venue does not trade a symbol, or gives no grid for it.
        ExchangeUnreachable: It did not answer in time.
    """
    fetches, whole = exchange.listings(symbols), exchange.listings()
    loop, backoff = asyncio.get_running_loop(), Backoff()
    began = loop.time()
    while not stop.is_set():
        try:
            frames = [await _answer(rest, fetch, clock) for fetch in fetches]
            listed = _listed(exchange, frames, rest.max_bytes)
        except (ExchangeUnreachable, Backpressure, MessageError) as error:
            if isinstance(error, RequestRefused) and fetches != whole:
                fetches = whole  # one of the names may be wrong: the whole list tells which
                continue
            if patience_s is not None and loop.time() - began >= patience_s:
                raise ExchangeUnreachable(error.cause, next_step=error.next_step) from None
            wait_s = backoff.next_s(error.retry_after_s if isinstance(error, Backpressure) else 0.0)
            log.warning("instruments_not_listed", error=str(error), retry_s=round(wait_s, 1))
            await _wait(stop, wait_s)
            continue
        if listed.weight_per_minute is not None:
            rest.limit_weight(listed.weight_per_minute)
        found = _choose(exchange.venue, symbols, listed)
        if tap is not None:
            for frame in frames:
                tap.write(frame)
        return found
    return {}


async def _answer(rest: RestClient, fetch: Fetch, clock: Clock) -> Frame:
    body = await rest.get(fetch)
    return Frame(clock.now_ns(), Via.REST, request=fetch.path, raw=body)


class _Nowhere:
    """A sink for a recorder, whose streams only say which books are needed."""

    waiting = 0

    def offer(self, record: ProducerRecord) -> bool:
        """There is always room."""
        del record
        return True


async def _run(
    feed: LiveFeed,
    rest: RestClient,
    exchange: Exchange,
    settings: Settings,
    stop: asyncio.Event,
    on_tick: Callable[[], None],
    tap: RecordingWriter | None,
) -> None:
    """Run everything side by side until told to stop; what breaks in one of the tasks ends them all."""
    url = settings.of(ProducerSettings).websocket_url or exchange.endpoints.websocket
    source = feed.connect(url)
    async with asyncio.TaskGroup() as group:
        feed.recover_with(BookRecovery(exchange, rest, source, feed.has_room, group.create_task))
        tasks = [group.create_task(connection.run()) for connection in source.connections.values()]
        tasks.append(group.create_task(_handle_frames(feed, source)))
        tasks.append(group.create_task(_tick(feed, on_tick)))
        tasks.append(group.create_task(_every(feed.heartbeat_seconds, feed.send_heartbeats)))
        tasks.append(group.create_task(_every(SHOW_SECONDS, feed.publish_metrics)))
        if tap is not None:
            tasks.append(group.create_task(_every(FILE_FLUSH_SECONDS, tap.flush)))
        await stop.wait()
        for task in tasks:
            task.cancel()
        feed.stop()


async def _handle_frames(feed: LiveFeed, source: LiveFrameSource) -> None:
    async for frame in source.frames():
        if notices := feed.handle(frame):
            source.handle(frame, notices)


async def _tick(feed: LiveFeed, on_tick: Callable[[], None]) -> None:
    while True:
        on_tick()
        feed.request_snapshots()
        await asyncio.sleep(TICK_SECONDS)


async def _every(seconds: float, call: Callable[[], None]) -> None:
    while True:
        await asyncio.sleep(seconds)
        call()


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return


def _listed(exchange: Exchange, frames: Sequence[Frame], max_bytes: int) -> InstrumentList:
    """Join what all these answers list."""
    lists = [_one_list(exchange, frame, max_bytes) for frame in frames]
    return InstrumentList(
        tuple(instrument for listed in lists for instrument in listed.instruments),
        tuple(name for listed in lists for name in listed.unreadable),
        next((listed.weight_per_minute for listed in lists if listed.weight_per_minute is not None), None),
    )


def _one_list(exchange: Exchange, frame: Frame, max_bytes: int) -> InstrumentList:
    if len(frame.raw) > max_bytes:
        raise FrameTooLarge(f"the instrument list of {exchange.venue} has more than {max_bytes} bytes")
    for message in exchange.parse(frame):
        if isinstance(message, InstrumentList):
            return message
    raise ExchangeUnreachable(
        f"{exchange.venue} gave no instrument list ({frame.raw[:200].decode(errors='replace')})",
        next_step="check producer.rest_url",
    )


def _choose(venue: str, symbols: Sequence[str], listed: InstrumentList) -> dict[str, Instrument]:
    known = {instrument.symbol: instrument for instrument in listed.instruments}
    chosen = {}
    for symbol in dict.fromkeys(symbols):
        if symbol in known:
            chosen[symbol] = known[symbol]
        elif symbol in listed.unreadable:
            raise UsageError(f"{venue} gives no usable grid for {symbol}", next_step="leave it out")
        else:
            near = get_close_matches(symbol.upper(), known, n=3)
            step = f"did you mean {', '.join(near)}?" if near else f"it trades {len(known)} others"
            raise UsageError(f"{venue} does not trade {symbol}", next_step=step)
    return chosen


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
            "trades_off_grid": stream.counters.trades_off_grid,
        }
        for symbol, stream in feed.router.streams.items()
    }
