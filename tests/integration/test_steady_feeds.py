"""Ten minutes of 50 instruments of five venues, twice as fast as time (`make soak`): no gap, and nothing grows.

All producers share one process, and so one core. The venues serve from another, by a clock that runs twice as fast and
that the producers have too: what a record says of its way is in that time.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from statistics import median
from typing import Any, NamedTuple

import psutil
import pytest

from obflow import kafka_logs, topics
from obflow.metrics import Metrics
from obflow.settings import Settings
from producers.exchanges import EXCHANGES
from producers.live import run
from producers.live.feed import LiveFeed
from producers.simulator.venues import SIMULATED
from schemas.messages import FeedState
from schemas.topics import L2, TRADES
from tests.integration.producing import fresh_topics
from tests.support.fast_clock import FastClock
from tests.support.patience import patient

FULL = os.environ.get("TEST_SCALE") == "full"
VENUES = ("binance-futures", "binance", "bybit", "okx", "deribit")
INSTRUMENTS = 50
SPEED = 2.0
SECONDS = float(os.environ.get("OBFLOW_SECONDS", "600"))
CHANGES_PER_SECOND = float(os.environ.get("OBFLOW_CHANGES", "5"))
LOOK_S = 1.0
MOST_GROWTH_MIB = 60.0
"""From a tenth of the time on: before that every book fills its memory."""

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(2_400),
    pytest.mark.skipif(not FULL, reason="ten minutes: `make soak` takes them"),
]


def traded() -> dict[str, list[str]]:
    """Ten instruments of each venue: those it lists, and invented ones."""
    each = INSTRUMENTS // len(VENUES)
    return {name: [*SIMULATED[name].listed, *invented(SIMULATED[name].listed[0])][:each] for name in VENUES}


def invented(listed: str) -> list[str]:
    return [listed.replace("BTC", f"Q{number}") for number in range(INSTRUMENTS)]


@asynccontextmanager
async def served(symbols: dict[str, list[str]], began_ns: int) -> AsyncIterator[Venues]:
    """All venues in a process of their own."""
    words = [str(began_ns), str(SPEED), str(CHANGES_PER_SECOND)]
    pipes = {"stdin": asyncio.subprocess.PIPE, "stdout": asyncio.subprocess.PIPE}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.integration.many_venues", *words, **pipes
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(symbols).encode() + b"\n")
    try:
        yield Venues(process, json.loads(await process.stdout.readline()))
    finally:
        process.stdin.close()
        await process.wait()


class Venues(NamedTuple):
    """What serves all venues, and where each listens."""

    process: asyncio.subprocess.Process
    ports: dict[str, int]

    def at(self, name: str) -> str:
        """Address of a venue."""
        return f"127.0.0.1:{self.ports[name]}"

    async def late_ms(self) -> float:
        """How late they are themselves; to be asked once."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(b"\n")
        return float(json.loads(await self.process.stdout.readline())["late_ms"])


class Watched:
    """The feeds of all venues, looked at from time to time."""

    def __init__(self) -> None:
        self.feeds: list[LiveFeed] = []
        self.memory_mib: list[float] = []
        self.waiting: list[int] = []
        self.not_live: Counter[str] = Counter()

    @property
    def are_live(self) -> bool:
        """Whether every book of every venue is LIVE."""
        streams = [stream for feed in self.feeds for stream in feed.router.streams.values()]
        return len(self.feeds) == len(VENUES) and all(stream.state is FeedState.LIVE for stream in streams)

    def look(self) -> None:
        """Note memory, what waits for the broker, and books that are not LIVE."""
        self.memory_mib.append(psutil.Process().memory_info().rss / 2**20)
        self.waiting.append(sum(feed.outlet._sink.waiting for feed in self.feeds))
        for feed in self.feeds:
            for symbol, stream in feed.router.streams.items():
                if stream.state is not FeedState.LIVE:
                    self.not_live[f"{feed.router.exchange.venue}:{symbol} {stream.state} ({stream.reason})"] += 1

    @property
    def contradicted(self) -> Counter[str]:
        """How often the venue's best quotes contradicted a book three times in a row, by venue."""
        return Counter(
            {
                feed.router.exchange.venue: sum(stream.counters.contradicted for stream in feed.router.streams.values())
                for feed in self.feeds
            }
        )

    @property
    def frames(self) -> int:
        """Frames so far."""
        return sum(feed.router.frames for feed in self.feeds)


async def until_live(watched: Watched) -> None:
    async with asyncio.timeout(patient(90.0)):
        while not watched.are_live:  # noqa: ASYNC110 (no event tells it)
            await asyncio.sleep(0.1)


def lags_ms(feeds: list[LiveFeed]) -> list[float]:
    """How old each feed's newest update is, by the venue's time of it: the age of what the producer knows."""
    streams = [stream for feed in feeds for stream in feed.router.streams.values()]
    return [(stream.kept.records.received_ns - (stream.kept.records.exchange_ns or 0)) / 1e6 for stream in streams]


async def test_fifty_instruments_of_five_venues_make_no_gap_at_twice_real_time(broker: str) -> None:
    symbols, began_ns = traded(), time.time_ns()
    clock, watched, stop = FastClock(began_ns, SPEED), Watched(), asyncio.Event()
    producer: dict[str, Any] = {"source": "simulator", "engine": "auto", "beside_other_sources": True}
    settings: list[Settings] = []
    async with served(symbols, began_ns) as venues, asyncio.TaskGroup() as group:
        tasks = []
        for name in VENUES:
            urls = {"rest_url": f"http://{venues.at(name)}", "websocket_url": f"ws://{venues.at(name)}"}
            one = await asyncio.to_thread(fresh_topics, broker, **producer, **urls)
            settings.append(one)
            tasks.append(
                group.create_task(
                    run.produce(
                        EXCHANGES[name],
                        symbols[name],
                        one,
                        clock=clock,
                        metrics=Metrics("producer"),
                        stop=stop,
                        on_feed=watched.feeds.append,
                    )
                )
            )
        await until_live(watched)
        began_s, spent_s, frames = time.monotonic(), time.process_time(), watched.frames
        while time.monotonic() - began_s < SECONDS:
            watched.look()
            await asyncio.sleep(LOOK_S)
        took_s, cpu_s, frames = time.monotonic() - began_s, time.process_time() - spent_s, watched.frames - frames
        lags, late_ms = lags_ms(watched.feeds), await venues.late_ms()
        stop.set()
    summaries = [task.result() for task in tasks]
    tell(watched, summaries, lags, late_ms, f"{took_s:.0f} s, {cpu_s / frames * 1e6:.0f} us of CPU a frame")
    for one, summary in zip(settings, summaries, strict=True):
        for topic in (L2, TRADES):
            held = sum(kafka_logs.end_offsets(one, [topics.topic_name(one, topic)]).values())
            assert held == summary["acknowledged"].get(topic.name, 0), "what was acknowledged is there"


def tell(watched: Watched, summaries: list[dict[str, Any]], lags: list[float], late_ms: float, took: str) -> None:
    """Say what came of it, and hold it to its bars."""
    books = [book for summary in summaries for book in summary["instruments"].values()]
    begun, after = watched.memory_mib[0], watched.memory_mib[len(watched.memory_mib) // 10 :]
    counted = {name: sum(book[name] for book in books) for name in ("gaps", "snapshots", "deltas_applied", "trades")}
    report = (
        f"{len(books)} instruments of {len(summaries)} venues at {SPEED:g} times real time for {took}:"
        f" {watched.frames} frames, {counted}\n"
        f"MiB {begun:.0f} at the start, {after[0]:.0f} after a tenth, {after[-1]:.0f} at the end; waiting for the"
        f" broker {median(watched.waiting):.0f}, at most {max(watched.waiting)}\n"
        f"newest updates, by the venues' time, are {median(lags):.1f} ms old, at most {max(lags):.1f};"
        f" the venues themselves were late by {late_ms:.1f}\n"
        f"contradicted by quotes {dict(+watched.contradicted)}, looks at books not LIVE {dict(+watched.not_live)},"
        f" refused and shed {[(summary['rejected'], summary['shed']) for summary in summaries]}\n"
    )
    sys.stdout.write(report)
    assert len(books) == INSTRUMENTS
    assert [book["gaps"] for book in books] == [0] * INSTRUMENTS, report
    assert all(book["live"] for book in books), report
    assert not any(summary["rejected"] or summary["shed"] for summary in summaries), report
    assert after[-1] - after[0] <= MOST_GROWTH_MIB, report
