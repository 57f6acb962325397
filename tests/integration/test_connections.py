"""Connections and requests against servers that misbehave."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiolimiter import AsyncLimiter
from websockets.asyncio.server import ServerConnection, serve

from obflow.backoff import Backoff
from obflow.clock import SystemClock
from obflow.settings import ProducerSettings, Settings
from producers.books.router import VenueNotice
from producers.contract import RestRequest
from producers.exchanges import EXCHANGES
from producers.live import run
from producers.live.connections import Connection
from producers.live.rest import RestClient, is_loopback
from producers.messages import Via
from producers.recordings.reader import read_lines
from schemas.errors import Backpressure, ExchangeUnreachable, UsageError
from tests.integration.simulators import simulator

pytestmark = pytest.mark.integration

EXCHANGE = EXCHANGES["binance-futures"]
MAX_BYTES = 20_000


class Notes:
    """A listener that writes down what it hears."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.frames: list[bytes] = []

    def on_open(self, connection: str, symbols: Sequence[str]) -> None:
        self.heard.append("open")

    def on_frame(self, connection: str, frame: bytes) -> Sequence[VenueNotice]:
        self.frames.append(frame)
        return EXCHANGE.parse(frame, Via.WS) if frame.startswith(b"{") else []  # type: ignore[return-value]

    def on_oversized(self, connection: str) -> None:
        self.heard.append("oversized")

    def on_lost(self, connection: str, symbols: Sequence[str]) -> None:
        self.heard.append("lost")


@asynccontextmanager
async def connected(
    behave: Callable[[ServerConnection], Awaitable[None]], symbols: Sequence[str] = ("BTCUSDT",)
) -> AsyncIterator[tuple[Notes, list[dict[str, object]]]]:
    """A connection to a server that does this with each client."""
    requests: list[dict[str, object]] = []

    async def handle(socket: ServerConnection) -> None:
        requests.append(json.loads(await socket.recv()))
        await behave(socket)

    async with serve(handle, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        notes = Notes()
        connection = Connection(
            "c1",
            EXCHANGE,
            f"ws://127.0.0.1:{port}/public/stream",
            symbols,
            listener=notes,
            max_bytes=MAX_BYTES,
            connects=AsyncLimiter(100, 1),
        )
        task = asyncio.create_task(connection.run())
        try:
            yield notes, requests
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def until(what: Callable[[], object], seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not what():  # noqa: ASYNC110 (what another task sees comes without an event)
            await asyncio.sleep(0.01)


async def test_a_connection_subscribes_and_hands_frames_on() -> None:
    async def behave(socket: ServerConnection) -> None:
        await socket.send('{"result":null,"id":1}')
        await socket.send("hello")
        await socket.wait_closed()

    async with connected(behave) as (notes, requests):
        await until(lambda: b"hello" in notes.frames)

    assert requests[0]["method"] == "SUBSCRIBE"
    assert requests[0]["params"] == list(EXCHANGE.streams("BTCUSDT"))
    assert notes.heard == ["open"], "an orderly stop is no loss"


async def test_a_lost_connection_is_opened_again_with_new_request_ids() -> None:
    async def behave(socket: ServerConnection) -> None:
        await socket.send('{"result":null,"id":1}')

    async with connected(behave) as (notes, requests):
        await until(lambda: len(requests) >= 3)

    assert notes.heard[:4] == ["open", "lost", "open", "lost"]
    assert [request["id"] for request in requests[:3]] == [1, 2, 3]


async def test_a_refused_subscription_ends_the_connection_and_is_tried_again() -> None:
    async def behave(socket: ServerConnection) -> None:
        await socket.send('{"error":{"code":2,"msg":"Invalid request"},"id":1}')
        await socket.wait_closed()

    async with connected(behave) as (notes, requests):
        await until(lambda: len(requests) >= 2)

    assert notes.heard[:3] == ["open", "lost", "open"]


async def test_a_subscription_nobody_acknowledges_ends_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("producers.live.connections.ACK_SECONDS", 0.2)

    async def behave(socket: ServerConnection) -> None:
        await socket.wait_closed()

    async with connected(behave) as (notes, requests):
        await until(lambda: len(requests) >= 2)

    assert notes.heard[:3] == ["open", "lost", "open"]


async def test_a_frame_too_large_to_receive_is_reported_and_costs_the_connection() -> None:
    async def behave(socket: ServerConnection) -> None:
        await socket.send('{"result":null,"id":1}')
        await socket.send("x" * (MAX_BYTES + 1))
        await socket.wait_closed()

    async with connected(behave) as (notes, _):
        await until(lambda: notes.heard.count("open") >= 2)

    assert notes.heard[:4] == ["open", "oversized", "lost", "open"]
    assert all(len(frame) <= MAX_BYTES for frame in notes.frames)


async def test_many_streams_are_asked_for_in_messages_the_venue_accepts() -> None:
    symbols = [f"C{number}USDT" for number in range(60)]

    async def behave(socket: ServerConnection) -> None:
        first = await socket.recv()
        await socket.send('{"result":null,"id":1}')
        await socket.send('{"result":null,"id":2}')
        await socket.send(first)
        await socket.wait_closed()

    async with connected(behave, symbols) as (notes, requests):
        await until(lambda: len(notes.frames) >= 3)

    second = json.loads(notes.frames[2])
    params = [*requests[0]["params"], *second["params"]]  # type: ignore[misc]
    assert len(params) == 180
    assert len(requests[0]["params"]) <= EXCHANGE.limits.streams_per_message  # type: ignore[arg-type]


async def test_a_request_is_answered_and_its_weight_known() -> None:
    async with simulator("binance-futures") as venue, RestClient(EXCHANGE, venue.server.rest_url, MAX_BYTES) as rest:
        assert b'"rateLimits"' in await rest.get(EXCHANGE.instruments_request())
        body = await rest.get(EXCHANGE.snapshot_request("BTCUSDT"))

    assert len(body) == MAX_BYTES + 1, "a larger answer is cut, one byte past what is allowed"


async def test_the_list_of_spot_is_fetched_for_the_named_instruments_alone(tmp_path: Path) -> None:
    exchange, path = EXCHANGES["binance"], tmp_path / "list.frames.jsonl"
    async with simulator("binance") as venue, RestClient(exchange, venue.server.rest_url, MAX_BYTES) as rest:
        with run._Tap(path) as tap:
            found = await run.find_instruments(
                rest, exchange, ["ETHUSDT"], clock=SystemClock(), stop=asyncio.Event(), tap=tap
            )
    (line,) = read_lines(path)

    assert list(found) == ["ETHUSDT"]
    assert line.request == exchange.instruments_request(["ETHUSDT"]).path
    assert b"BTCUSDT" not in line.frame


def files_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def test_a_recorder_that_ends_before_the_first_line_leaves_no_file(tmp_path: Path) -> None:
    path, stop = tmp_path / "none.frames.jsonl.gz", asyncio.Event()
    async with simulator("binance-futures") as venue:
        settings = Settings(producer=ProducerSettings(rest_url=venue.server.rest_url))

        async def record(symbol: str) -> dict[str, object]:
            return await run.record(EXCHANGE, [symbol], settings, clock=SystemClock(), stop=stop, path=path)

        with pytest.raises(UsageError, match="does not trade NOPEUSDT"):
            await record("NOPEUSDT")
        assert files_in(tmp_path) == []
        stop.set()
        summary = await record("BTCUSDT")

    assert (summary["lines"], summary["file"]) == (0, None)
    assert files_in(tmp_path) == []


@pytest.mark.parametrize(("status", "seconds", "least"), [(429, 0.4, 0.4), (418, 0.0, 30.0)])
async def test_a_refusal_stops_all_requests_until_the_venue_allows_them(
    status: int, seconds: float, least: float
) -> None:
    async with simulator("binance-futures") as venue:
        await venue.inject("refuse_requests", count=1, status=status, seconds=seconds)
        async with RestClient(EXCHANGE, venue.server.rest_url, MAX_BYTES) as rest:
            with pytest.raises(Backpressure) as refused:
                await rest.get(EXCHANGE.instruments_request())
            assert refused.value.retry_after_s == least
            with pytest.raises(Backpressure, match="refuses requests for now"):
                await rest.get(EXCHANGE.instruments_request())
        assert (await venue.report())["stats"]["requests_refused"] == 1, "the second was not even sent"


async def test_the_venues_own_count_of_weight_is_believed() -> None:
    async with simulator("binance-futures") as venue, RestClient(EXCHANGE, venue.server.rest_url, MAX_BYTES) as rest:
        rest.limit_weight(30)
        await rest.get(EXCHANGE.snapshot_request("BTCUSDT"))
        with pytest.raises(Backpressure) as refused:
            await rest.get(EXCHANGE.snapshot_request("BTCUSDT"))

    assert 0 < refused.value.retry_after_s <= 60


async def test_an_address_where_nobody_listens_is_named() -> None:
    async with RestClient(EXCHANGE, "http://127.0.0.1:1", MAX_BYTES) as rest:
        with pytest.raises(ExchangeUnreachable, match=r"binance-futures does not answer at http://127\.0\.0\.1:1"):
            await rest.get(RestRequest("/fapi/v1/ping", 1))


async def test_an_error_of_the_venue_is_no_answer() -> None:
    async with simulator("binance-futures") as venue, RestClient(EXCHANGE, venue.server.rest_url, MAX_BYTES) as rest:
        with pytest.raises(ExchangeUnreachable, match=r"HTTP 400.*Invalid symbol"):
            await rest.get(EXCHANGE.snapshot_request("NOPE"))


def test_waits_grow_and_are_bounded_and_begin_again() -> None:
    backoff = Backoff(first_s=1.0, most_s=8.0)
    waits = [[Backoff(1.0, 8.0).next_s() for _ in range(200)]]
    for longest in (1.0, 2.0, 4.0, 8.0, 8.0):
        assert 0.0 <= backoff.next_s() <= longest
    backoff.reset()
    assert backoff.next_s(at_least_s=3.0) <= 4.0
    assert max(waits[0]) - min(waits[0]) > 0.5, "jittered, so that clients do not come back together"


def test_what_is_on_this_machine_is_behind_no_proxy() -> None:
    assert is_loopback("ws://127.0.0.1:8080/ws")
    assert is_loopback("http://localhost:1")
    assert is_loopback("http://[::1]:1")
    assert not is_loopback("wss://stream.binance.com:9443")
