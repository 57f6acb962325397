"""200 disconnects at random over 50 instruments of all venues (`TEST_SCALE=full`): books come back, nothing grows.

Venues are served by a process of their own, so that tasks, descriptors and memory are the producers' alone.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import Random
from statistics import median
from typing import Any, NamedTuple

import aiohttp
import pytest

from obflow.clock import SystemClock
from obflow.settings import Settings
from processors.factors.reference.engine import ReferenceEngine
from processors.factors.reference.state import InstrumentState
from processors.settings import ProcessorSettings
from producers.books.records import EncodedDelta, ProducerRecord
from producers.exchanges import EXCHANGES
from producers.live import run
from producers.live.feed import LiveFeed
from producers.settings import ProducerSettings
from producers.simulator.venues import SIMULATED
from schemas.messages import Kind, L2Record, Status
from tests.support.patience import patient

FULL = os.environ.get("TEST_SCALE") == "full"
ROUNDS = int(os.environ.get("OBFLOW_ROUNDS", "200"))
INSTRUMENTS = int(os.environ.get("OBFLOW_INSTRUMENTS", "50"))
WARM = 20
"""Rounds before what must not grow is looked at first."""
BACK_WITHIN_S = 3.0
MOST_TRIES = 12
"""In 2 s of refusals, of waits of 0.25 s, 0.5 s, 1 s and then 2 s at most, each drawn from 0 on."""
pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not FULL, reason="200 disconnects take minutes: TEST_SCALE=full plays them"),
]


class Reader:
    """A worker's end of a feed: every record becomes factors, by the engine that is the definition."""

    waiting = 0

    def __init__(self) -> None:
        self.lies: list[str] = []
        self.statuses: Counter[Status] = Counter()
        self._engine = ReferenceEngine(ProcessorSettings().thin_notional)
        self._states: dict[str, InstrumentState] = {}
        self._broken: set[str] = set()
        self._offset = 0
        self.invalid: Counter[str] = Counter()

    def offer(self, record: ProducerRecord) -> bool:
        """Take a record; a factor with status OK between a loss and the next book is a lie."""
        book = record.record() if isinstance(record, EncodedDelta) else record
        if isinstance(book, L2Record):
            self._take(book)
        return True

    def _take(self, record: L2Record) -> None:
        symbol = record.symbol
        if record.kind is Kind.INVALID:
            self._broken.add(symbol)
            self.invalid[symbol] += 1
        elif record.kind is Kind.SNAPSHOT:
            self._broken.discard(symbol)
        state = self._states.setdefault(symbol, self._engine.fresh())
        self._offset += 1
        for status in self._engine.step(state, [self._offset], self._engine.rows([record])).status:
            self.statuses[status] += 1
            if status is Status.OK and symbol in self._broken:
                self.lies.append(f"{record.venue}:{symbol} at {record.received_ns}")


class Venue:
    """A venue, the producer that listens to it, and what reads that."""

    def __init__(self, name: str, port: int) -> None:
        self.name, self.url, self.reader = name, f"http://127.0.0.1:{port}", Reader()
        self.stop = asyncio.Event()
        self.feed: LiveFeed | None = None

    def watch(self, feed: LiveFeed) -> None:
        feed.outlet._sink = self.reader
        self.feed = feed

    @property
    def is_whole(self) -> bool:
        return self.feed is not None and all(stream.is_live for stream in self.feed.router.streams.values())

    @property
    def turns(self) -> int:
        """Tries of its host while that was away."""
        assert self.feed is not None
        assert self.feed._source is not None
        return self.feed._source._tries.made

    @property
    def is_connected(self) -> bool:
        """Whether every connection of books stands."""
        source = self.feed._source if self.feed else None
        return source is not None and all(connection.is_connected for connection in source.book_connections)

    @property
    def trouble(self) -> str:
        assert self.feed is not None
        assert self.feed._source is not None
        return self.feed._source.trouble

    async def produce(self, symbols: list[str], path: Path) -> None:
        urls = {"websocket_url": self.url.replace("http", "ws"), "rest_url": self.url}
        settings = Settings(producer=ProducerSettings(source="simulator", **urls))
        clock = SystemClock()
        await run.record(
            EXCHANGES[self.name], symbols, settings, clock=clock, stop=self.stop, path=path, on_feed=self.watch
        )

    async def suffer(self, session: aiohttp.ClientSession, fault: str, **options: Any) -> None:
        async with session.post(f"{self.url}/control", json={"fault": fault, **options}) as answer:
            assert answer.status == 200, await answer.text()


def traded() -> dict[str, list[str]]:
    """Which instruments each venue trades: those it lists, and invented ones, 50 together."""
    symbols: dict[str, list[str]] = {name: [] for name in SIMULATED}
    for number in range(INSTRUMENTS):
        name = list(SIMULATED)[number % len(SIMULATED)]
        have, listed = symbols[name], SIMULATED[name].listed
        have.append(listed[len(have)] if len(have) < len(listed) else listed[0].replace("BTC", f"Q{number}"))
    return symbols


@asynccontextmanager
async def served(symbols: dict[str, list[str]]) -> AsyncIterator[dict[str, Venue]]:
    """All venues, in a process of their own."""
    pipes = {"stdin": asyncio.subprocess.PIPE, "stdout": asyncio.subprocess.PIPE}
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.integration.many_venues", **pipes)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(symbols).encode() + b"\n")
    ports = json.loads(await process.stdout.readline())
    try:
        yield {name: Venue(name, port) for name, port in ports.items()}
    finally:
        process.stdin.close()
        await process.wait()


def held() -> tuple[int, int, float]:
    """Tasks, descriptors, and MiB of memory of this process."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return (
        len(asyncio.all_tasks()),
        len(list(Path("/proc/self/fd").iterdir())),
        pages * os.sysconf("SC_PAGE_SIZE") / 2**20,
    )


async def held_at_rest(venues: dict[str, Venue]) -> tuple[int, int, float]:
    """The same once every connection stands, those beside books too, and nothing is asked for."""
    async with asyncio.timeout(patient(30.0)):
        while any(venue.trouble for venue in venues.values()):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    await asyncio.sleep(patient(1.0))
    return held()


class Healing(NamedTuple):
    """How long after a server was back connections stood, and every book was LIVE again."""

    stood_s: float
    whole_s: float


async def whole_again(venues: dict[str, Venue], within_s: float) -> Healing:
    """Wait until every book is LIVE; how long that took, and how much of it was for connections."""
    begun_s = time.monotonic()
    stood_s = 0.0
    async with asyncio.timeout(within_s):
        while not all(venue.is_whole for venue in venues.values()):
            if not all(venue.is_connected for venue in venues.values()):
                stood_s = time.monotonic() - begun_s
            await asyncio.sleep(0.01)
    return Healing(stood_s, time.monotonic() - begun_s)


def described(healed: Sequence[Healing]) -> str:
    """What healing took, and what that was made of."""
    whole, stood = [one.whole_s for one in healed], [one.stood_s for one in healed]
    books = [one.whole_s - one.stood_s for one in healed]
    return (
        f"{median(whole):.2f} s (median), {max(whole):.2f} s (longest); of that until connections stood"
        f" {median(stood):.2f} and {max(stood):.2f} s, until books were LIVE {median(books):.2f} and {max(books):.2f} s"
    )


@pytest.mark.timeout(3_600)
async def test_books_come_back_from_200_disconnects_and_nothing_grows(tmp_path: Path) -> None:
    symbols, random = traded(), Random(4)
    assert sum(map(len, symbols.values())) == INSTRUMENTS
    healed: list[Healing] = []
    async with AsyncExitStack() as stack:
        venues = await stack.enter_async_context(served(symbols))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        group = await stack.enter_async_context(asyncio.TaskGroup())
        for name, venue in venues.items():
            group.create_task(venue.produce(symbols[name], tmp_path / f"{name}.jsonl.gz"))
        await whole_again(venues, patient(60.0))
        lost_before = {name: sum(venue.reader.invalid.values()) for name, venue in venues.items()}
        cut: Counter[str] = Counter()
        for number in range(ROUNDS):
            if number == min(WARM, ROUNDS // 2):
                before = await held_at_rest(venues)
            venue = random.choice(list(venues.values()))
            away_s = random.choice((0.0, 0.0, random.uniform(0.2, 2.0)))
            if away_s:
                await venue.suffer(session, "refuse_connections", seconds=away_s)
            await venue.suffer(session, "disconnect")
            cut[venue.name] += 1
            async with asyncio.timeout(patient(5.0)):
                while venue.is_whole:  # noqa: ASYNC110
                    await asyncio.sleep(0.002)
            await asyncio.sleep(away_s)
            healed.append(await whole_again(venues, patient(20.0)))
        after = await held_at_rest(venues)
        tried = {name: _reopenings(venue) for name, venue in venues.items()}
        turns = {name: venue.turns for name, venue in venues.items()}
        report = (
            f"{ROUNDS} disconnects over {INSTRUMENTS} instruments of {len(venues)} venues: books whole again after"
            f" {described(healed)}; tasks, descriptors, MiB before {before},"
            f" after {after}; reopenings that stood, and that failed, by venue: {tried}; tries of each host"
            f" while it was away: {turns}\n"
        )
        sys.stdout.write(report)
        for venue in venues.values():
            venue.stop.set()

    for name, venue in venues.items():
        assert venue.reader.lies == [], "a factor with status OK between a loss and the next book"
        assert venue.reader.statuses[Status.OK] > 0
        told = sum(venue.reader.invalid.values()) - lost_before[name]
        assert told >= cut[name] * len(symbols[name]), "each loss is told of each book"
    assert max(one.whole_s for one in healed) <= patient(BACK_WITHIN_S), report
    assert after[0] <= before[0] + 2, report
    assert after[1] <= before[1] + 2, report
    assert after[2] <= before[2] + 30, report
    for name, (stood, failed) in tried.items():
        most = cut[name] * len(venues[name].feed._source.connections) if venues[name].feed else 0
        assert cut[name] <= stood <= most, report
        assert failed <= most + turns[name], "a host that is away is tried by one connection at a time"
        assert turns[name] <= MOST_TRIES * cut[name], "a wait doubles with each try"


def _reopenings(venue: Venue) -> tuple[int, int]:
    """Of all its connections: how many stood again, and how many tries failed."""
    assert venue.feed is not None
    assert venue.feed._source is not None
    found = [connection.attempts.reopenings for connection in venue.feed._source.connections.values()]
    return sum(each.stood for each in found), sum(each.failed for each in found)
