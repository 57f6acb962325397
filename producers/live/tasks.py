"""What runs side by side while a venue is listened to, until it is told to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any, NamedTuple

from obflow.settings import Settings
from producers.contract import Exchange, LiveFrameSource, Login
from producers.live.feed import LiveFeed
from producers.live.polling import Poller
from producers.live.rest import RestClient
from producers.live.snapshots import BookRecovery
from producers.live.source import VenueSource
from producers.live.venue_socket import NO_HEADERS
from producers.recordings.writer import FrameWriter
from producers.settings import ProducerSettings

TICK_SECONDS = 0.02
FILE_FLUSH_SECONDS = 1.0
SHOW_SECONDS = 1.0


class Provider(NamedTuple):
    """Who brings a venue's data where the venue itself does not.

    Attributes:
        name: Written into recordings in the venue's place, so that their frames are read as the provider's.
        headers: Sent with each handshake: the key.
        login: How each connection makes itself known; None where it need not.
        attend: Runs beside the connections, for what it gives to be renewed; None where nothing is.
    """

    name: str
    headers: Mapping[str, str] = NO_HEADERS
    login: Login | None = None
    attend: Callable[[VenueSource], Coroutine[Any, Any, None]] | None = None


async def run_feed(
    feed: LiveFeed,
    rest: RestClient,
    exchange: Exchange,
    settings: Settings,
    stop: asyncio.Event,
    on_tick: Callable[[], None],
    tap: FrameWriter | None,
    provider: Provider | None,
    background: Iterable[Callable[[], Coroutine[Any, Any, None]]] = (),
) -> None:
    """Run everything side by side until told to stop; what breaks in one of the tasks ends them all."""
    url = settings.of(ProducerSettings).websocket_url or exchange.endpoints.websocket
    feed.carried.tell_listing()
    provider = provider or Provider(exchange.venue)
    source = feed.connect(url, rest.gate, provider.headers, provider.login)
    async with asyncio.TaskGroup() as group:
        feed.recover_with(BookRecovery(exchange, rest, source, feed.has_room, group.create_task, feed.troubles.note))
        source.start(group.create_task)
        tasks = [group.create_task(_handle_frames(feed, source))]
        tasks.append(group.create_task(_tick(feed, on_tick)))
        tasks.append(group.create_task(_every(feed.heartbeat_seconds, feed.send_heartbeats)))
        tasks.append(group.create_task(_every(feed.look_seconds, feed.look)))
        tasks.append(group.create_task(_every(SHOW_SECONDS, feed.publish_metrics)))
        tasks.extend(group.create_task(begin()) for begin in background)
        if (every_s := settings.of(ProducerSettings).open_interest_seconds) > 0:
            tasks.append(group.create_task(Poller(exchange, rest, source, feed, every_s).run()))
        if provider.attend is not None:
            tasks.append(group.create_task(provider.attend(source)))
        if tap is not None:
            tasks.append(group.create_task(_every(FILE_FLUSH_SECONDS, tap.flush)))
        await stop.wait()
        for task in (*tasks, *source.tasks):
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
