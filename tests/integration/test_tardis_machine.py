"""tardis-machine, live and of the past: a loopback server of its protocol, from the simulator's data."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from obflow.clock import SystemClock
from obflow.metrics import Metrics
from obflow.settings import Settings
from producers.books.router import FrameRouter
from producers.exchanges import EXCHANGES
from producers.live import run
from producers.live.datasets import days_of, fetch_days
from producers.live.feed import LiveFeed
from producers.live.tardis import key_headers, machine_stream, require_access, stream_url
from producers.live.tardis_replay import Stretch, Wanted, fetch_replay, stretch_of
from producers.recordings.opened import open_recording, venue_of
from producers.recordings.part_checks import problems_in
from producers.recordings.reader import RecordingReplay, scan
from producers.recordings.rotation import Rotation
from producers.settings import ProducerSettings, TardisSettings
from producers.tardis.machine import received_ns
from producers.tardis.raw import REST_PATHS
from research.verify import top_levels
from schemas.errors import ExchangeUnreachable, PipelineError, SettingsError, UsageError
from schemas.messages import Kind, L2Record, SequenceSource
from schemas.topics import L2
from schemas.units import NS_PER_SECOND
from tests.integration.machine_server import KEY, MachineServer, machine
from tests.integration.producing import fresh_topics, read_topic
from tests.producers.l2_reader import books_of
from tests.support.patience import patient

pytestmark = pytest.mark.integration

NAME = "tardis:bybit"
SYMBOLS = ("BTCUSDT", "ETHUSDT")
STRETCH = Stretch("2023-11-14T22:13:00.000Z", "2023-11-14T22:14:00.000Z")


def settings_for(server: MachineServer, key_file: Path | None = None) -> Settings:
    return Settings(
        producer=ProducerSettings(rest_url=server.url),
        tardis=TardisSettings(base_url=server.url, stream_url=server.url.replace("http", "ws"), api_key_file=key_file),
    )


class Recorded:
    """A recorder of the machine's stream, and its feed."""

    def __init__(self) -> None:
        self.feed: LiveFeed | None = None
        self.summary: dict[str, Any] = {}

    def watch(self, feed: LiveFeed) -> None:
        self.feed = feed

    async def until(self, what: Callable[[], object]) -> None:
        async with asyncio.timeout(patient(15)):
            while not (self.feed and what()):  # noqa: ASYNC110 (what a pure stream knows comes without an event)
                await asyncio.sleep(0.02)

    def applied(self) -> int:
        assert self.feed is not None
        return sum(stream.counters.deltas_applied for stream in self.feed.router.streams.values())

    def epochs(self) -> dict[str, int]:
        assert self.feed is not None
        return {name: stream.epoch for name, stream in self.feed.router.streams.items() if stream.is_live}


@asynccontextmanager
async def recording(path: Path, settings: Settings, rotation: Rotation | None = None) -> AsyncIterator[Recorded]:
    recorded, stop = Recorded(), asyncio.Event()
    exchange = machine_stream("bybit", settings)
    provider = run.Provider(NAME, key_headers(settings.of(TardisSettings)))
    task = asyncio.create_task(
        run.record(
            exchange,
            SYMBOLS,
            settings,
            clock=SystemClock(),
            stop=stop,
            path=path,
            rotation=rotation,
            on_feed=recorded.watch,
            provider=provider,
        )
    )
    try:
        yield recorded
    finally:
        stop.set()
        recorded.summary = await task


async def test_a_stream_heals_each_instrument_for_itself_and_is_a_recording(tmp_path: Path) -> None:
    path = tmp_path / "live.frames.jsonl.gz"
    key_file = tmp_path / "key"
    key_file.write_text(f"{KEY}\n")
    async with machine("bybit", "bybit", SYMBOLS, wants_key=True) as server:
        settings = settings_for(server, key_file)
        await require_access(settings.of(TardisSettings))
        async with recording(path, settings) as recorded:
            await recorded.until(lambda: len(recorded.epochs()) == 2)
            assert sorted(server.streams) == sorted(server.tickers) == [("BTCUSDT",), ("ETHUSDT",)]

            before = recorded.epochs()
            await server.lose_feed()  # told by the machine, which begins anew by itself
            await recorded.until(lambda: all(recorded.epochs().get(name, 0) > epoch for name, epoch in before.items()))
            assert len(server.streams) == 2

            before = recorded.epochs()
            bad = {"type": "book_change", "exchange": "bybit", "symbol": "BTCUSDT", "isSnapshot": False, "bids": 1}
            await server.say("BTCUSDT", bad)  # lost here: had by connecting anew, for this one alone
            await recorded.until(lambda: recorded.epochs().get("BTCUSDT", 0) > before["BTCUSDT"])
            assert server.streams[2:] == [("BTCUSDT",)]
            assert recorded.epochs()["ETHUSDT"] == before["ETHUSDT"]

            before = recorded.epochs()
            await server.drop_all()
            await recorded.until(lambda: all(recorded.epochs().get(name, 0) > epoch for name, epoch in before.items()))

    assert venue_of(path) == "bybit"
    replay = RecordingReplay(path, EXCHANGES["bybit"])
    books = [record for record in replay.records() if isinstance(record, L2Record)]
    assert {record.sequence_source for record in books} == {SequenceSource.SYNTHETIC}
    assert {record.tick_size for record in books} == {"0.1", "0.01"}, "the venue's own list is in the recording"
    found = books_of(books)
    assert found["BTCUSDT"].invalid == ["disconnect", "bad_input", "disconnect"]
    assert found["ETHUSDT"].invalid == ["disconnect", "disconnect"]
    assert [book.broken for book in found.values()] == [[], []]


@pytest.mark.exhaustive
async def test_each_part_of_a_recorded_stream_has_books_of_its_own(tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    async with (
        machine("bybit", "bybit", SYMBOLS) as server,
        recording(folder, settings_for(server), Rotation(int(patient(2) * NS_PER_SECOND))) as recorded,
    ):
        await recorded.until(lambda: len(list(folder.glob("*.gz"))) >= 4)

    *parts, _ = sorted(folder.glob("*.gz"))
    for part in parts:
        replay = RecordingReplay(part, EXCHANGES["bybit"])
        books = books_of([record for record in replay.records() if isinstance(record, L2Record)])
        assert set(books) == set(SYMBOLS)
        assert all(stream.is_live and not stream.counters.gaps for stream in replay.router.streams.values()), part


def numbers(levels: list[tuple[str, str]]) -> list[tuple[float, float]]:
    return [(float(price), float(size)) for price, size in levels]


async def test_what_is_produced_from_it_is_the_venues_book(broker: str) -> None:
    async with machine("bybit", "bybit", SYMBOLS) as server:
        plain = await asyncio.to_thread(fresh_topics, broker, rest_url=server.url)
        settings = plain.model_copy(update={"tardis": settings_for(server).of(TardisSettings)})
        recorded, stop = Recorded(), asyncio.Event()
        task = asyncio.create_task(
            run.produce(
                machine_stream("bybit", settings),
                SYMBOLS,
                settings,
                clock=SystemClock(),
                metrics=Metrics("producer"),
                stop=stop,
                on_feed=recorded.watch,
                provider=run.Provider(NAME),
            )
        )
        await recorded.until(lambda: len(recorded.epochs()) == 2 and recorded.applied() > 20)
        stop.set()
        await task
    books = books_of(await asyncio.to_thread(read_topic, settings, L2))
    assert {(book.live, tuple(book.broken)) for book in books.values()} == {(True, ())}
    assert sum(book.deltas for book in books.values()) > 20


class TestHistory:
    async def fetch(self, server: MachineServer, path: Path, key_file: Path | None = None) -> dict[str, object]:
        settings = settings_for(server, key_file)
        return await fetch_replay(Wanted.normalised(NAME, SYMBOLS, STRETCH), settings, path=path, stop=asyncio.Event())

    async def test_it_becomes_a_recording_with_the_venues_books(self, tmp_path: Path) -> None:
        path = tmp_path / "past.frames.jsonl.gz"
        async with machine("bybit", "bybit", SYMBOLS) as server:
            found = await self.fetch(server, path)
            true = {symbol: server.replay.true_book(symbol) for symbol in SYMBOLS}
        assert found["lines"] == len(server.replay.said)
        replay = RecordingReplay(path, EXCHANGES["bybit"])
        list(replay)
        for symbol, stream in replay.router.streams.items():
            assert stream.is_live
            bids, asks = top_levels(stream.tracked, 1_000)
            assert (numbers(bids), numbers(asks)) == tuple(numbers(side) for side in true[symbol])

    @pytest.mark.parametrize(
        ("failing", "sentence"),
        [
            ("cut", "gave no whole history"),
            ("broken", "it is cut short"),
            ("the API key does not allow this", "the machine failed: the API key does not allow this"),
        ],
    )
    async def test_one_that_is_not_whole_leaves_no_file(self, tmp_path: Path, failing: str, sentence: str) -> None:
        path = tmp_path / "past.frames.jsonl.gz"
        async with machine("bybit", "bybit", SYMBOLS) as server:
            server.failing = failing
            with pytest.raises(ExchangeUnreachable, match=sentence):
                await self.fetch(server, path)
        assert not any(tmp_path.iterdir())  # noqa: ASYNC240 (it is over)

    async def test_in_parts_it_is_the_same_and_whole_or_not_at_all(self, tmp_path: Path) -> None:
        whole, folder = tmp_path / "past.frames.jsonl.gz", tmp_path / "past"
        wanted, rotation = Wanted.normalised(NAME, SYMBOLS, STRETCH), Rotation(NS_PER_SECOND)
        async with machine("bybit", "bybit", SYMBOLS) as server:
            settings = settings_for(server)
            await fetch_replay(wanted, settings, path=whole, stop=asyncio.Event())
            server.failing = "cut"
            with pytest.raises(ExchangeUnreachable, match="gave no whole history"):
                await fetch_replay(wanted, settings, path=folder, stop=asyncio.Event(), rotation=rotation)
            assert not folder.exists()
            server.failing = ""
            found = await fetch_replay(wanted, settings, path=folder, stop=asyncio.Event(), rotation=rotation)
        parts, frames = (
            found["parts"],
            [list(open_recording(path, EXCHANGES["bybit"]).source.frames()) for path in (whole, folder)],
        )
        assert isinstance(parts, list)
        assert len(parts) > 1
        assert frames[0] == frames[1]
        assert problems_in(folder) == []

    async def test_a_refused_key_is_one_sentence(self, tmp_path: Path) -> None:
        path, key_file = tmp_path / "past.frames.jsonl.gz", tmp_path / "key"
        key_file.write_text("another")
        async with machine("bybit", "bybit", SYMBOLS, wants_key=True) as server:
            for key, sentence in ((None, "wants a key, and none is set"), (key_file, "refuses the key")):
                with pytest.raises(ExchangeUnreachable, match=f"{sentence} .HTTP 401.: check tardis.api_key_file"):
                    await self.fetch(server, path, key)
                with pytest.raises(ExchangeUnreachable, match=f"{sentence} .HTTP 403."):
                    await require_access(settings_for(server, key).of(TardisSettings))
        assert not path.exists()

    async def test_a_wrong_request_says_what_the_machine_says(self, tmp_path: Path) -> None:
        async with machine("bybit", "bybit", SYMBOLS) as server:
            with pytest.raises(UsageError, match="no such symbol"):
                await fetch_replay(
                    Wanted.normalised(NAME, ("NOPE",), STRETCH),
                    settings_for(server),
                    path=tmp_path / "a.gz",
                    stop=asyncio.Event(),
                )


WAYS = {
    "binance-futures": ("binance-futures", ("BTCUSDT",)),
    "bybit": ("bybit", SYMBOLS),
    "okex-swap": ("okx", ("BTC-USDT-SWAP", "ETH-USDT-SWAP")),
    "deribit": ("deribit", ("BTC-PERPETUAL",)),
}


class TestOneStretchInFourWays:
    """The machine live, its replay, the venue's own messages and the rows of datasets, each by its own way in."""

    @pytest.mark.parametrize("exchange", WAYS)
    async def test_the_book_is_the_same_at_every_common_time(self, exchange: str, tmp_path: Path) -> None:
        venue, symbols = WAYS[exchange]
        async with machine(exchange, venue, symbols) as server:
            server.plays_replay = True
            live = await self.live(server, tmp_path / "live.jsonl")
            replay = await self.past(server, Wanted.normalised(f"tardis:{exchange}", symbols, STRETCH), tmp_path)
            raw = await self.past(server, Wanted.raw(f"tardis:{exchange}", symbols, STRETCH), tmp_path)
            days = await self.days(server, tmp_path)
        ways = [books_at(path, venue) for path in (live, replay, raw)]
        ways.append({moment: book for path in days for moment, book in books_at(path, venue).items()})
        common = set.intersection(*(set(way) for way in ways))
        assert {symbol for symbol, _ in common} == set(symbols)
        assert len(common) > 20 * len(symbols)
        assert all(way[moment] == ways[0][moment] for way in ways for moment in common)
        # What Binance is asked for is believed with the first update behind it: in that way a moment later.
        lacking = len(symbols) if venue in REST_PATHS else 0
        assert len(common) == max(map(len, ways)) - lacking

    async def live(self, server: MachineServer, path: Path) -> Path:
        stop, recorded, settings = asyncio.Event(), Recorded(), settings_for(server)
        expected = sum(said.trade is None for said in server.replay.said)
        task = asyncio.create_task(
            run.record(
                machine_stream(server.exchange, settings),
                tuple(server.market.specs),
                settings,
                clock=SystemClock(),
                stop=stop,
                path=path,
                on_feed=recorded.watch,
                provider=run.Provider(f"tardis:{server.exchange}"),
            )
        )
        await recorded.until(lambda: recorded.applied() + len(recorded.epochs()) == expected)
        stop.set()
        await task
        return path

    async def past(self, server: MachineServer, wanted: Wanted, folder: Path) -> Path:
        path = folder / f"{wanted.path[1:]}.frames.jsonl.gz"
        await fetch_replay(wanted, settings_for(server), path=path, stop=asyncio.Event())
        return path

    async def days(self, server: MachineServer, folder: Path) -> list[Path]:
        tardis = TardisSettings(datasets_url=f"{server.url}/days")
        wanted = days_of(
            server.exchange, ["incremental_book_L2"], list(server.market.specs), "2023-11-14", "2023-11-14"
        )
        return (await fetch_days(wanted, folder, tardis, clock=SystemClock(), stop=asyncio.Event())).came


def books_at(path: Path, venue: str) -> dict[tuple[str, int], object]:
    """Every book after each of its updates, as plain numbers, by instrument and the moment at which Tardis received it.

    Live, frames are received when they come: that moment stands in the message.
    """
    source, reader = open_recording(path, EXCHANGES[venue])
    router = FrameRouter(reader, scan(source, reader).instruments)
    found: dict[tuple[str, int], object] = {}
    for frame in source.frames():
        told = next((one for one in router.handle(frame).records if isinstance(one, L2Record)), None)
        if told is None:
            continue
        stream, is_live = router.streams[told.symbol], path.name == "live.jsonl"
        assert stream.is_live == (told.kind is not Kind.INVALID)
        if stream.is_live:
            moment_ns = received_ns(frame.raw) if is_live else frame.received_ns
            bids, asks = top_levels(stream.tracked, 10_000)
            found[told.symbol, moment_ns] = (sorted(numbers(bids)), sorted(numbers(asks)))
    return found


class TestRawHistory:
    async def test_it_is_a_recording_of_the_venue_itself(self, tmp_path: Path) -> None:
        path = tmp_path / "raw.frames.jsonl.gz"
        async with machine("bybit", "bybit", SYMBOLS) as server:
            wanted = Wanted.raw(NAME, SYMBOLS, STRETCH, ["orderbook.200", "publicTrade"])
            found = await fetch_replay(wanted, settings_for(server), path=path, stop=asyncio.Event())
        assert found["venue"] == venue_of(path) == "bybit"
        [asked] = server.asked
        assert (asked["withDisconnects"], asked["from"]) == (True, STRETCH.start)
        assert [one["channel"] for one in asked["filters"]] == ["orderbook.200", "publicTrade"]
        books = [one for one in RecordingReplay(path, EXCHANGES["bybit"]).records() if isinstance(one, L2Record)]
        assert {record.sequence_source for record in books} == {SequenceSource.VENUE}

    @pytest.mark.parametrize(
        ("failing", "sentence"), [("cut", "gave no whole history"), ("no such key", "the machine failed: .no such key")]
    )
    async def test_one_that_is_not_whole_leaves_no_file(self, tmp_path: Path, failing: str, sentence: str) -> None:
        path = tmp_path / "raw.frames.jsonl.gz"
        async with machine("bybit", "bybit", SYMBOLS) as server:
            server.failing = failing
            wanted = Wanted.raw(NAME, SYMBOLS, STRETCH)
            with pytest.raises(ExchangeUnreachable, match=sentence):
                await fetch_replay(wanted, settings_for(server), path=path, stop=asyncio.Event())
        assert not path.exists()


@pytest.mark.parametrize(
    ("base", "expected"),
    [
        ("http://127.0.0.1:8000", "ws://127.0.0.1:8001"),
        ("https://machine.example/tardis/", "wss://machine.example:444/tardis"),
        ("http://[::1]:9000", "ws://[::1]:9001"),
    ],
)
def test_websockets_are_one_port_higher(base: str, expected: str) -> None:
    assert stream_url(TardisSettings(base_url=base)) == expected


def mistakes(tmp_path: Path) -> list[tuple[Callable[[], object], type[PipelineError]]]:
    empty = tmp_path / "empty"
    empty.write_text("\n")
    return [
        (lambda: stream_url(TardisSettings(base_url="machine:x")), SettingsError),
        (lambda: key_headers(TardisSettings(api_key_file=empty)), SettingsError),
        (lambda: key_headers(TardisSettings(api_key_file=tmp_path / "none")), SettingsError),
        (lambda: machine_stream("bitmex", Settings()), UsageError),
        (lambda: stretch_of("noon", "2024-01-01"), UsageError),
        (lambda: stretch_of("2024-01-01", "2024-01-01"), UsageError),
    ]


def test_each_mistake_is_one_sentence(tmp_path: Path) -> None:
    for make, error in mistakes(tmp_path):
        with pytest.raises(error) as refused:
            make()
        assert refused.value.next_step
        assert "\n" not in str(refused.value)
    assert stretch_of("2024-01-01", "2024-01-01T01:00:00+01:00"[:-6] + "+00:00").end == "2024-01-01T01:00:00.000Z"


async def test_a_machine_that_is_away_is_waited_for() -> None:
    await require_access(TardisSettings(base_url="http://127.0.0.1:9"))
