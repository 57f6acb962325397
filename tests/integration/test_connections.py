"""Connections and requests against servers that misbehave."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import pytest
from aiolimiter import AsyncLimiter
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from obflow.backoff import Backoff
from obflow.clock import SystemClock
from obflow.settings import Settings
from producers.contract import Exchange, Fetch, Keepalive, Rate, Say
from producers.exchanges.binance.family import BinanceExchange
from producers.exchanges.binance.spot import BINANCE
from producers.exchanges.binance.usd_m import BINANCE_FUTURES
from producers.live import run
from producers.live.connections import Connection
from producers.live.listing import find_instruments
from producers.live.rest import RestClient, is_loopback
from producers.messages import Frame, Reply, VenueMessage, Via
from producers.recordings.recording import Recording
from producers.recordings.writer import RecordingWriter
from producers.settings import ProducerSettings
from schemas.errors import Backpressure, ExchangeUnreachable, UsageError
from tests.integration.backends import free_port
from tests.integration.simulators import simulator
from tests.support.patience import patient

pytestmark = pytest.mark.integration

EXCHANGE = BINANCE_FUTURES
MAX_BYTES = 20_000


class Notes:
    """Whoever handles what a connection brings, and writes down what that was."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.heard: list[str] = []
        self.frames: list[bytes] = []
        self.connection: Connection | None = None

    async def enqueue(self, via: Via, connection: str, raw: bytes) -> None:
        if via is not Via.WS:
            self.heard.append(via.value)
            return
        self.frames.append(raw)
        if raw.startswith(b"{") and self.connection is not None:
            notices = self.exchange.parse(Frame(0, via, connection, raw=raw))
            self.connection.handle(notices, connection)  # type: ignore[arg-type]

    def on_oversized(self, connection: str) -> None:
        self.heard.append("oversized")


class Peer:
    """One client of the server: what it said, and when."""

    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket
        self.said: list[str] = []
        self.said_s: list[float] = []
        self.closed: int | None = None

    @property
    def methods(self) -> list[str]:
        return [json.loads(text)["method"] for text in self.said if text.startswith("{")]

    async def hear(self) -> str:
        text = await self.socket.recv(decode=True)
        self.said.append(text)
        self.said_s.append(asyncio.get_running_loop().time())
        return text

    async def acknowledge(self) -> None:
        """Acknowledge the next request."""
        await self.socket.send(json.dumps({"result": None, "id": json.loads(await self.hear())["id"]}))

    async def acknowledge_all(self) -> None:
        """Acknowledge every request until the client goes."""
        try:
            while True:
                text = await self.hear()
                if text.startswith("{"):
                    await self.socket.send(json.dumps({"result": None, "id": json.loads(text)["id"]}))
        except ConnectionClosed:
            self.closed = self.socket.close_code


@asynccontextmanager
async def connected(
    behave: Callable[[Peer], Awaitable[None]],
    symbols: Sequence[str] = ("BTCUSDT",),
    exchange: Exchange = EXCHANGE,
    life_s: float = 1e6,
) -> AsyncIterator[tuple[Notes, list[Peer]]]:
    """A connection to a server that does this with each client."""
    peers: list[Peer] = []

    async def handle(socket: ServerConnection) -> None:
        peers.append(Peer(socket))
        await behave(peers[-1])

    async with serve(handle, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        notes = Notes(exchange)
        connection = notes.connection = Connection(
            "c1",
            exchange,
            f"ws://127.0.0.1:{port}/public/stream",
            symbols,
            enqueue=notes.enqueue,
            on_oversized=notes.on_oversized,
            max_bytes=MAX_BYTES,
            connects=AsyncLimiter(100, 1),
            life_s=life_s,
        )
        task = asyncio.create_task(connection.run())
        try:
            yield notes, peers
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def until(what: Callable[[], object], seconds: float = 5.0) -> None:
    async with asyncio.timeout(patient(seconds)):
        while not what():  # noqa: ASYNC110 (what another task sees comes without an event)
            await asyncio.sleep(0.01)


async def test_a_connection_subscribes_and_hands_frames_on() -> None:
    async def behave(peer: Peer) -> None:
        await peer.acknowledge()
        await peer.socket.send("hello")
        await peer.socket.wait_closed()

    async with connected(behave) as (notes, peers):
        await until(lambda: b"hello" in notes.frames)

    (say,) = EXCHANGE.subscribe(["BTCUSDT"])
    assert peers[0].said == [say.raw.decode()]
    assert notes.heard == ["connect"], "an orderly stop is no loss"


async def test_a_lost_connection_is_opened_and_subscribed_again() -> None:
    async with connected(Peer.acknowledge) as (notes, peers):
        await until(lambda: len(peers) >= 3 and peers[2].said)

    assert notes.heard[:4] == ["connect", "disconnect", "connect", "disconnect"]
    assert peers[0].said == peers[1].said == peers[2].said


async def test_a_refused_subscription_ends_the_connection_and_is_tried_again() -> None:
    async def behave(peer: Peer) -> None:
        await peer.socket.send('{"error":{"code":2,"msg":"Invalid request"},"id":1}')
        await peer.socket.wait_closed()

    async with connected(behave) as (notes, _):
        await until(lambda: len(notes.heard) >= 3)

    assert notes.heard[:3] == ["connect", "disconnect", "connect"]


@pytest.mark.parametrize("acknowledged", [0, 1])
async def test_a_subscription_nobody_acknowledges_ends_the_connection(
    monkeypatch: pytest.MonkeyPatch, acknowledged: int
) -> None:
    monkeypatch.setattr("producers.live.talk.ACK_SECONDS", 0.3)

    async def behave(peer: Peer) -> None:
        for _ in range(acknowledged):
            await peer.acknowledge()
        await peer.socket.wait_closed()

    async with connected(behave, [f"C{number}USDT" for number in range(60)]) as (notes, _):
        await until(lambda: len(notes.heard) >= 3)

    assert notes.heard[:3] == ["connect", "disconnect", "connect"]


async def test_an_acknowledged_connection_that_falls_silent_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("producers.live.talk.ACK_SECONDS", 0.1)

    async with connected(Peer.acknowledge_all) as (notes, peers):
        await until(lambda: notes.frames)
        await asyncio.sleep(0.4)

    assert len(peers) == 1
    assert notes.heard == ["connect"]


async def test_a_frame_too_large_to_receive_is_reported_and_costs_the_connection() -> None:
    async def behave(peer: Peer) -> None:
        await peer.acknowledge()
        await peer.socket.send("x" * (MAX_BYTES + 1))
        await peer.socket.wait_closed()

    async with connected(behave) as (notes, _):
        await until(lambda: notes.heard.count("connect") >= 2)

    assert notes.heard[:4] == ["connect", "oversized", "disconnect", "connect"]
    assert all(len(frame) <= MAX_BYTES for frame in notes.frames)


async def test_many_streams_are_asked_for_in_messages_the_venue_accepts_and_no_faster() -> None:
    async with connected(Peer.acknowledge_all, [f"C{number}USDT" for number in range(160)]) as (_, peers):
        await until(lambda: peers and len(peers[0].said) == 5)

    params = [json.loads(text)["params"] for text in peers[0].said]
    assert sum(map(len, params)) == len({name for names in params for name in names}) == 480
    assert max(map(len, params)) <= EXCHANGE.limits.streams_per_message
    pauses = [later - earlier for earlier, later in pairwise(peers[0].said_s)]
    allowed = EXCHANGE.limits.client_messages
    assert sum(pauses) >= 0.9 * len(pauses) * allowed.seconds / allowed.times


async def test_the_clients_own_ping_goes_out_as_often_as_the_venue_wants_it() -> None:
    exchange = replace(EXCHANGE, keepalive=Keepalive(message=b"ping", every_s=0.15))
    async with connected(Peer.acknowledge_all, exchange=exchange) as (_, peers):
        await until(lambda: peers and peers[0].said.count("ping") >= 4)

    at_s = [at_s for text, at_s in zip(peers[0].said, peers[0].said_s, strict=True) if text == "ping"]
    assert all(later - earlier >= 0.1 for earlier, later in pairwise(at_s))


async def test_what_opens_a_talk_is_said_before_anything_else() -> None:
    hello = Say(b'{"method":"HELLO","id":7}', ("7",))
    exchange = replace(EXCHANGE, keepalive=Keepalive(begin=(hello,)))
    async with connected(Peer.acknowledge_all, exchange=exchange) as (_, peers):
        await until(lambda: peers and len(peers[0].said) == 2)

    assert peers[0].methods == ["HELLO", "SUBSCRIBE"]


async def test_a_heartbeat_is_answered_before_what_waits_to_be_said() -> None:
    @dataclass(frozen=True)
    class Beating(BinanceExchange):
        def parse(self, frame: Frame) -> list[VenueMessage]:
            return [Reply(b"alive")] if frame.raw == b'{"alive":1}' else super().parse(frame)

    slowly = Rate(1, patient(0.4))  # no burst that is over before the venue's heartbeat can have come
    exchange = Beating(**vars(EXCHANGE) | {"limits": EXCHANGE.limits._replace(client_messages=slowly)})

    async def behave(peer: Peer) -> None:
        await peer.socket.send('{"alive":1}')
        await peer.acknowledge_all()

    async with connected(behave, [f"C{number}USDT" for number in range(160)], exchange) as (_, peers):
        await until(lambda: peers and len(peers[0].said) == 6, 5.0 + 6 * slowly.seconds)

    assert "alive" in peers[0].said[:2]


async def test_a_connection_near_the_end_of_its_life_is_replaced_while_it_serves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A successor is subscribed first; then what still comes until the venue has ended the streams is read."""
    monkeypatch.setattr("producers.live.connections.OVERLAP_SECONDS", 0.1)

    async def behave(peer: Peer) -> None:
        await peer.acknowledge()
        request = json.loads(await peer.hear())
        await peer.socket.send("the last frame")
        await peer.socket.send(json.dumps({"result": None, "id": request["id"]}))
        await peer.acknowledge_all()

    async with connected(behave, life_s=0.2) as (notes, peers):
        await until(lambda: "disconnect" in notes.heard)

    assert b"the last frame" in notes.frames
    assert notes.heard[:3] == ["connect", "connect", "disconnect"]
    assert peers[0].methods == ["SUBSCRIBE", "UNSUBSCRIBE"]
    assert peers[1].methods[0] == "SUBSCRIBE"
    await until(lambda: peers[0].closed is not None)
    assert peers[0].closed == 1000


async def test_what_is_no_longer_wanted_is_given_up_and_not_subscribed_again() -> None:
    async with connected(Peer.acknowledge_all, ["AUSDT", "BUSDT"]) as (notes, peers):
        await until(lambda: notes.frames)
        assert notes.connection is not None
        notes.connection.unsubscribe(["AUSDT"])
        await until(lambda: len(notes.frames) == 2)
        await peers[0].socket.close()
        await until(lambda: len(peers) == 2 and peers[1].said)

    streams = [json.loads(text)["params"] for text in (*peers[0].said, *peers[1].said)]
    ours = {symbol: list(EXCHANGE.streams(symbol)) for symbol in ("AUSDT", "BUSDT")}
    assert streams == [ours["AUSDT"] + ours["BUSDT"], ours["AUSDT"], ours["BUSDT"]]


async def test_a_connection_without_instruments_ends_and_serves_again_with_one() -> None:
    async with connected(Peer.acknowledge_all) as (notes, peers):
        await until(lambda: notes.frames)
        assert notes.connection is not None
        notes.connection.unsubscribe(["BTCUSDT"])
        await until(lambda: peers[0].closed is not None)
        assert not notes.connection.is_connected
        notes.connection.add(["AUSDT"])
        await until(lambda: len(peers) == 2 and peers[1].said)

    assert peers[0].closed == 1000
    assert json.loads(peers[1].said[0])["params"] == list(EXCHANGE.streams("AUSDT"))
    assert notes.heard[:3] == ["connect", "disconnect", "connect"]


async def test_a_request_is_answered_and_its_weight_known() -> None:
    async with simulator("binance-futures") as venue, RestClient(EXCHANGE, venue.server.rest_url, MAX_BYTES) as rest:
        assert b'"rateLimits"' in await rest.get(EXCHANGE.listings()[0])
        body = await rest.get(EXCHANGE.recover("BTCUSDT"))

    assert len(body) == MAX_BYTES + 1, "a larger answer is cut, one byte past what is allowed"


async def test_the_list_of_spot_is_fetched_for_the_named_instruments_alone(tmp_path: Path) -> None:
    exchange, path = BINANCE, tmp_path / "list.frames.jsonl"
    async with simulator("binance") as venue, RestClient(exchange, venue.server.rest_url, MAX_BYTES) as rest:
        with RecordingWriter(path, "binance") as tap:
            found = await find_instruments(
                rest, exchange, ["ETHUSDT"], clock=SystemClock(), stop=asyncio.Event(), tap=tap
            )
    (line,) = Recording(path).frames()

    assert list(found) == ["ETHUSDT"]
    assert line.request == exchange.listings(["ETHUSDT"])[0].path
    assert b"BTCUSDT" not in line.raw


def files_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def test_a_recorder_waits_for_a_venue_that_is_away_no_longer_than_it_is_to_record(tmp_path: Path) -> None:
    path = tmp_path / "none.frames.jsonl.gz"
    away = Settings(producer=ProducerSettings(rest_url=f"http://127.0.0.1:{free_port()}"))
    async with asyncio.timeout(patient(0.8 * run.RECORDER_PATIENCE_SECONDS)):
        with pytest.raises(ExchangeUnreachable, match="does not answer"):
            await run.record(
                EXCHANGE, ["BTCUSDT"], away, clock=SystemClock(), stop=asyncio.Event(), path=path, seconds=0.1
            )
    assert files_in(tmp_path) == []


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


@pytest.mark.parametrize(("status", "seconds", "least"), [(429, 0.4, 0.4), (418, 0.0, 2.0)])
async def test_a_refusal_stops_all_requests_until_the_venue_allows_them(
    status: int, seconds: float, least: float
) -> None:
    async with simulator("binance-futures") as venue:
        await venue.inject("refuse_requests", count=1, status=status, seconds=seconds)
        async with RestClient(EXCHANGE, venue.server.rest_url, MAX_BYTES) as rest:
            with pytest.raises(Backpressure) as refused:
                await rest.get(EXCHANGE.listings()[0])
            assert refused.value.retry_after_s == least
            with pytest.raises(Backpressure, match="refuses requests for now"):
                await rest.get(EXCHANGE.listings()[0])
        assert (await venue.report())["stats"]["requests_refused"] == 1, "the second was not even sent"


async def test_the_venues_own_count_of_weight_is_believed() -> None:
    async with simulator("binance-futures") as venue, RestClient(EXCHANGE, venue.server.rest_url, MAX_BYTES) as rest:
        rest.limit_weight(30)
        await rest.get(EXCHANGE.recover("BTCUSDT"))
        with pytest.raises(Backpressure) as refused:
            await rest.get(EXCHANGE.recover("BTCUSDT"))

    assert 0 < refused.value.retry_after_s <= 60


async def test_an_address_where_nobody_listens_is_named() -> None:
    async with RestClient(EXCHANGE, "http://127.0.0.1:1", MAX_BYTES) as rest:
        with pytest.raises(ExchangeUnreachable, match=r"binance-futures does not answer at http://127\.0\.0\.1:1"):
            await rest.get(Fetch("/fapi/v1/ping", 1))


async def test_an_error_of_the_venue_is_no_answer() -> None:
    async with simulator("binance-futures") as venue, RestClient(EXCHANGE, venue.server.rest_url, MAX_BYTES) as rest:
        with pytest.raises(ExchangeUnreachable, match=r"HTTP 400.*Invalid symbol"):
            await rest.get(EXCHANGE.recover("NOPE"))


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
