"""The simulated venue's server, by a plain WebSocket and HTTP client."""

from __future__ import annotations

import asyncio
import gc
import io
import json
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import aiohttp
import psutil
import pytest
import websockets

from obflow.clock import SystemClock
from producers.simulator.exchange import LAST_TRADES, SimulatedExchange
from producers.simulator.server import SimulatorServer
from producers.simulator.venues import simulated_venue
from tests.integration.simulators import Simulator, simulator
from tests.producers.binance_reader import IndependentReader, RuleBroken, assert_true_book, read_frame
from tests.support.patience import patient

pytestmark = pytest.mark.integration

FUTURES, SPOT = "binance-futures", "binance"
STREAMS = ["btcusdt@depth@100ms", "btcusdt@trade", "btcusdt@bookTicker"]


async def ask(socket: websockets.ClientConnection, **request: Any) -> dict[str, Any]:
    """Send a request and pass over frames until its answer."""
    await socket.send(json.dumps(request))
    async with asyncio.timeout(patient(5)):
        while True:
            frame = json.loads(await socket.recv())
            if "stream" not in frame and ("id" in frame or "error" in frame):
                return dict(frame)


async def frames_for(socket: websockets.ClientConnection, seconds: float) -> list[str]:
    """Everything that comes within some seconds."""
    frames = []
    try:
        async with asyncio.timeout(seconds):
            while True:
                frames.append(str(await socket.recv()))
    except TimeoutError:
        return frames


async def read_until(
    socket: websockets.ClientConnection, readers: dict[str, IndependentReader], what: Callable[[], object]
) -> None:
    """Read frames until something holds."""
    async with asyncio.timeout(patient(5)):
        while not what():
            read_frame(readers, str(await socket.recv()))


@pytest.mark.parametrize(
    ("venue", "path", "rest"), [(FUTURES, "/public/stream", "/fapi/v1"), (SPOT, "/stream", "/api/v3")]
)
async def test_a_client_that_keeps_to_the_rules_has_the_true_book(venue: str, path: str, rest: str) -> None:
    async with simulator(venue) as venue_server, websockets.connect(venue_server.server.websocket_url + path) as socket:
        assert await ask(socket, method="SUBSCRIBE", params=STREAMS, id=1) == {"result": None, "id": 1}
        reader = IndependentReader(venue == FUTURES, "0.01", "0.00001")
        readers = {"BTCUSDT": reader}
        await read_until(socket, readers, lambda: reader.updates >= 2)
        _, snapshot = await venue_server.get(f"{rest}/depth", symbol="BTCUSDT", limit=1000)
        await read_until(socket, readers, lambda: reader.updates >= 4)
        reader.on_snapshot(snapshot)
        await read_until(socket, readers, lambda: reader.applied > 5)
        _, true = await venue_server.get("/true-book", symbol="BTCUSDT", sequence=reader.last_u)

    assert true["sequence"] == reader.last_u
    assert_true_book(reader, true["bids"], true["asks"])
    assert reader.applied > 5


async def test_an_injected_gap_is_seen_by_the_client_and_the_venue_says_so() -> None:
    async with simulator(FUTURES) as venue, websockets.connect(venue.server.websocket_url + "/public/stream") as socket:
        await ask(socket, method="SUBSCRIBE", params=STREAMS[:1], id=1)
        readers = {"BTCUSDT": IndependentReader(True, "0.01", "0.001")}
        await read_until(socket, readers, lambda: readers["BTCUSDT"].updates)
        await venue.inject("gap", symbol="BTCUSDT")
        with pytest.raises(RuleBroken):
            await read_until(socket, readers, lambda: False)
        report = await venue.report()

    assert report["venues"][FUTURES]["injected"]["BTCUSDT"]["gap"] == 1
    assert report["venues"][FUTURES]["injected"]["ETHUSDT"]["gap"] == 0


async def test_requests_are_answered_as_the_venue_does() -> None:
    async with simulator(FUTURES) as venue, websockets.connect(venue.server.websocket_url + "/ws") as socket:
        refused = await ask(socket, method="SUBSCRIBE", params=["nope@depth"], id=7)
        assert (refused["id"], refused["error"]["code"]) == (7, 2)
        await socket.send("{not json")
        assert "error" in json.loads(await socket.recv())
        await ask(socket, method="SUBSCRIBE", params=STREAMS, id=8)
        assert (await ask(socket, method="LIST_SUBSCRIPTIONS", id=9))["result"] == sorted(STREAMS)
        await ask(socket, method="UNSUBSCRIBE", params=STREAMS[1:], id=10)
        frame = json.loads(await socket.recv())
        assert frame["e"] == "depthUpdate"  # bare on /ws, and nothing else is subscribed any more


async def test_spot_writes_microseconds_where_asked_for() -> None:
    async with simulator(SPOT) as venue:
        for query, digits in (("", 13), ("&timeUnit=microsecond", 16)):
            url = f"{venue.server.websocket_url}/stream?streams=btcusdt@depth@100ms{query}"
            async with websockets.connect(url) as socket:
                assert len(str(json.loads(await socket.recv())["data"]["E"])) == digits


async def test_both_venues_share_a_port_as_their_paths_tell_them_apart() -> None:
    async with simulator(FUTURES, SPOT) as venue:
        for path, is_futures in (("/public/stream", True), ("/stream", False)):
            async with websockets.connect(f"{venue.server.websocket_url}{path}?streams=btcusdt@depth@100ms") as socket:
                assert ("pu" in json.loads(await socket.recv())["data"]) is is_futures


async def test_too_many_messages_of_a_client_end_its_connection() -> None:
    async with simulator(FUTURES) as venue, websockets.connect(venue.server.websocket_url + "/ws") as socket:
        for number in range(20):
            await socket.send(json.dumps({"method": "LIST_SUBSCRIPTIONS", "id": number}))
        await wait_closed(socket)
    assert socket.close_code == 1008


async def test_request_weight_is_counted_and_its_limit_enforced() -> None:
    async with simulator(FUTURES) as venue:
        url = f"{venue.server.rest_url}/fapi/v1/depth?symbol=BTCUSDT&limit=1000"
        statuses = []
        for _ in range(122):
            async with venue.session.get(url) as answer:
                statuses.append(answer.status)
                used = int(answer.headers["X-MBX-USED-WEIGHT-1M"])
                if answer.status == 429:
                    assert 1 <= int(answer.headers["Retry-After"]) <= 60
        # 120 of weight 20 fit into 2,400; the test may run across the end of a minute.
        assert statuses[:60] == [200] * 60
        assert (statuses[-1] == 429) == (used > 2400)


async def test_requests_and_connections_are_refused_on_demand() -> None:
    async with simulator(FUTURES) as venue:
        await venue.inject("refuse_requests", count=1, status=418, seconds=2)
        async with venue.session.get(f"{venue.server.rest_url}/fapi/v1/ping") as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (418, "2")
        assert (await venue.get("/fapi/v1/ping"))[0] == 200
        await venue.inject("refuse_connections", seconds=0.2)
        with pytest.raises(websockets.InvalidStatus):
            await websockets.connect(venue.server.websocket_url + "/ws")
        await asyncio.sleep(0.25)
        async with websockets.connect(venue.server.websocket_url + "/ws"):
            pass


async def test_a_disconnect_cuts_and_a_shutdown_is_announced_first() -> None:
    async with simulator(SPOT) as venue:
        url = f"{venue.server.websocket_url}/stream?streams=btcusdt@trade"
        async with websockets.connect(url) as socket:
            await venue.inject("disconnect")
            await wait_closed(socket)
        async with websockets.connect(url) as socket:
            await venue.inject("shutdown")
            frames = await wait_closed(socket)
    assert any(json.loads(frame).get("e") == "serverShutdown" for frame in frames)


async def test_a_pause_holds_frames_back_and_loses_none() -> None:
    async with simulator(SPOT) as venue:
        url = f"{venue.server.websocket_url}/stream?streams=btcusdt@depth@100ms"
        async with websockets.connect(url) as socket:
            await venue.inject("pause", seconds=0.5)
            before = await frames_for(socket, 0.1)
            during = await frames_for(socket, 0.3)
            after = await frames_for(socket, 0.4)
    updates = [json.loads(frame)["data"] for frame in before + after]

    assert during == []
    assert len(after) >= 5
    assert all(second["U"] == first["u"] + 1 for first, second in pairwise(updates))


@pytest.mark.parametrize("query", [{"symbol": "NOPE"}, {"symbol": "BTCUSDT", "sequence": 1}, {"venue": "okx"}])
async def test_a_book_nobody_has_is_refused(query: dict[str, object]) -> None:
    async with simulator(FUTURES) as venue:
        assert (await venue.get("/true-book", **query))[0] == 400


@pytest.mark.parametrize(
    "control",
    [
        {"fault": "refuse_requests", "count": 10**9},
        {"fault": "gap", "count": 10**9},
        {"fault": "gap", "count": 10**400},
        {"fault": "gap", "count": 0},
        {"fault": "gap", "count": -1},
        {"fault": "pause", "seconds": 10**9},
        {"fault": "pause", "seconds": -1},
        {"fault": "pause", "seconds": "1e999"},
        {"fault": "refuse_connections", "seconds": 10**400},
        {"fault": "refuse_requests", "status": 10**9},
        {"fault": "refuse_requests", "status": 200},
        {"fault": "gap", "symbol": "NOPE"},
        {"fault": "gap", "venue": "okx"},
        {"fault": "gap", "venue": SPOT},
        {"fault": "snapshot"},
        {"fault": "earthquake"},
        {"fault": "gap", "strength": 5},
    ],
)
async def test_a_fault_beyond_its_bounds_is_refused_and_changes_nothing(control: dict[str, object]) -> None:
    text = json.dumps(control).replace('"1e999"', "1e999")
    async with simulator(FUTURES) as venue:
        async with venue.session.post(f"{venue.server.rest_url}/control", data=text) as answer:
            assert answer.status == 400
            assert (await answer.json())["error"]
        assert (await venue.get("/fapi/v1/ping"))[0] == 200
        async with websockets.connect(venue.server.websocket_url + "/stream?streams=btcusdt@depth@100ms") as socket:
            assert len(await frames_for(socket, 0.5)) >= 3


@pytest.mark.parametrize("text", ["", "[" * 60_000, "\xff\xfe", '{"fault":' + '"x' * 100])
async def test_a_fault_that_cannot_be_read_is_refused(text: str) -> None:
    async with (
        simulator(FUTURES) as venue,
        venue.session.post(f"{venue.server.rest_url}/control", data=text.encode("latin-1")) as answer,
    ):
        assert answer.status == 400


async def test_a_body_too_large_is_refused_unread() -> None:
    async with (
        simulator(FUTURES) as venue,
        venue.session.post(f"{venue.server.rest_url}/control", data=io.BytesIO(b" " * 10_000_000)) as answer,
    ):
        assert answer.status == 413


async def test_requests_to_be_refused_do_not_pile_up() -> None:
    async with simulator(FUTURES) as venue:
        await venue.inject("refuse_requests", count=10_000)
        control = {"fault": "refuse_requests", "count": 1}
        async with venue.session.post(f"{venue.server.rest_url}/control", json=control) as answer:
            assert answer.status == 400
            assert "10000 requests wait" in (await answer.json())["error"]


@pytest.mark.parametrize("limit", ["9" * 5_000, "-1", "0", "1e3", "many"])
async def test_a_limit_that_is_none_is_refused(limit: str) -> None:
    async with simulator(FUTURES) as venue:
        assert (await venue.get("/fapi/v1/depth", symbol="BTCUSDT", limit=limit))[0] == 400
        assert (await venue.get("/true-book", symbol="BTCUSDT", limit=limit))[0] == 400
        assert (await venue.get("/true-book", symbol="BTCUSDT", sequence="9" * 5_000))[0] == 400


async def test_a_request_id_beyond_int64_is_refused_and_the_connection_lives() -> None:
    async with simulator(FUTURES) as venue, websockets.connect(venue.server.websocket_url + "/ws") as socket:
        await socket.send(json.dumps({"method": "LIST_SUBSCRIPTIONS", "id": 10**30}))
        assert "error" in json.loads(await socket.recv())
        assert (await ask(socket, method="LIST_SUBSCRIPTIONS", id=2))["result"] == []


async def test_an_unknown_fault_is_refused() -> None:
    async with (
        simulator(FUTURES) as venue,
        venue.session.post(f"{venue.server.rest_url}/control", json={"fault": "earthquake"}) as answer,
    ):
        assert answer.status == 400


async def wait_closed(socket: websockets.ClientConnection) -> list[str]:
    """Everything that comes until the connection ends."""
    frames = []
    async with asyncio.timeout(patient(5)):
        try:
            while True:
                frames.append(str(await socket.recv()))
        except websockets.ConnectionClosed:
            return frames


async def test_it_listens_on_the_address_it_is_told_and_on_no_other() -> None:
    exchange = SimulatedExchange(simulated_venue(FUTURES), ["BTCUSDT"], seed=1, start_ns=SystemClock().now_ns())
    server = SimulatorServer({FUTURES: exchange})
    await server.start(host="127.0.0.2")
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session,
            session.get(f"{server.rest_url}/fapi/v1/ping") as answer,
        ):
            assert answer.status == 200
        # Asked of the system: on another address another program may have the same port.
        held = [one.laddr for one in psutil.Process().net_connections() if one.status == psutil.CONN_LISTEN]
        assert [address.ip for address in held if address.port == server.port] == ["127.0.0.2"]
    finally:
        await server.close()
    assert server.rest_url.startswith("http://127.0.0.2:")


def kept() -> Counter[str]:
    """Objects of the simulator and of its server's library that are alive, and sets, by the name of their type."""
    gc.collect()
    names = (f"{type(kept).__module__}.{type(kept).__name__}" for kept in gc.get_objects())
    return Counter(name for name in names if name.startswith(("producers.simulator", "aiohttp", "builtins.set")))


async def test_nothing_of_its_clients_is_kept_after_two_hundred_reconnects() -> None:
    """Each asks for a stream and a book of its own that nobody has; half are cut, half leave."""
    async with simulator(FUTURES) as venue:

        async def reconnect(number: int) -> None:
            url = f"{venue.server.websocket_url}/ws?streams=btcusdt@trade/nope{number}usdt@trade"
            async with websockets.connect(url) as socket:
                await venue.get("/fapi/v1/depth", symbol=f"NOPE{number}USDT")
                if number % 2:
                    await venue.inject("disconnect")
                    await wait_closed(socket)

        await reconnect(-1)
        before = kept()
        for number in range(200):
            await reconnect(number)
        await settled(venue)

        last = dict.fromkeys(("producers.simulator.events.MarketEvent", "producers.simulator.market.Fill"), LAST_TRADES)
        grown = {
            name: count - before[name]
            for name, count in kept().items()
            if count > before[name] + 20 + last.get(name, 0)  # the market's last trades, and no client's
        }
        assert grown == {}
        assert len(venue.server.stats) <= 5
        assert venue.server.stats["connections"] == 201


async def settled(venue: Simulator) -> None:
    """Wait until the server has seen its last client go."""
    async with asyncio.timeout(patient(5)):
        while (await venue.report())["venues"][FUTURES]["connections"]:  # noqa: ASYNC110 (another's state)
            await asyncio.sleep(0.01)
