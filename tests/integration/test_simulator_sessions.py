"""Connections to a simulated venue that is all that Binance is not, by a plain WebSocket and HTTP client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import websockets

from producers.simulator.contract import RateLimit
from schemas.errors import UsageError
from tests.integration.simulators import Simulator, simulator
from tests.support.made_up_simulator import RULES, MadeUpVenue
from tests.support.patience import patient

pytestmark = pytest.mark.integration

SYMBOLS = ("BTC-EUR", "ETH-EUR", "SOL-EUR")


def made_up(**session: float) -> MadeUpVenue:
    """The made-up venue with other rules for its connections."""
    return MadeUpVenue(rules=RULES._replace(session=RULES.session._replace(**session)))


@asynccontextmanager
async def connected(**session: float) -> AsyncIterator[tuple[Simulator, websockets.ClientConnection]]:
    async with (
        simulator(made_up(**session), symbols=SYMBOLS) as venue,
        websockets.connect(venue.server.websocket_url + "/made") as socket,
        asyncio.timeout(patient(10)),
    ):
        yield venue, socket


async def say(socket: websockets.ClientConnection, **request: Any) -> None:
    await socket.send(json.dumps(request))


async def hear(socket: websockets.ClientConnection, field: str) -> dict[str, Any]:
    """The next message that has this field."""
    while True:
        said = json.loads(await socket.recv())
        if field in said:
            return dict(said)


async def test_a_subscription_is_acknowledged_then_comes_the_book_then_its_updates() -> None:
    async with connected() as (_, socket):
        for tag in ("first", "again"):
            await say(socket, do="listen", to=["book:ETH-EUR"], tag=tag)
            assert await hear(socket, "done") == {"done": tag}
            whole, change = await hear(socket, "kind"), await hear(socket, "kind")
            assert (whole["kind"], change["kind"]) == ("whole", "change")
            assert (change["on"], change["after"]) == ("book:ETH-EUR", whole["n"])
            await say(socket, do="leave", to=["book:ETH-EUR"], tag="gone")
            await hear(socket, "done")


async def test_a_whole_book_comes_on_demand() -> None:
    async with connected() as (venue, socket):
        await say(socket, do="listen", to=["book:BTC-EUR", "book:ETH-EUR"], tag="t")
        assert [(await hear(socket, "kind"))["kind"] for _ in range(2)] == ["whole", "whole"]
        await venue.inject("snapshot", symbol="ETH-EUR")
        while (book := await hear(socket, "kind"))["kind"] != "whole":
            pass
    assert book["on"] == "book:ETH-EUR"


async def test_a_client_that_answers_the_heartbeat_stays_and_one_that_does_not_is_cut() -> None:
    async with connected(heartbeat_every_s=0.1, heartbeat_answer_s=0.5) as (venue, socket):
        for _ in range(10):
            assert await hear(socket, "there") == {"there": True}
            await say(socket, do="here")
        assert venue.server.stats["connections_ended"] == 0
        with pytest.raises(websockets.ConnectionClosedError):
            await hear(socket, "nothing")
        assert venue.server.stats["connections_ended"] == 1


async def test_a_client_that_pings_is_answered_and_one_that_falls_silent_is_cut() -> None:
    async with connected(silence_s=1.0) as (_, socket):
        for _ in range(6):
            await socket.send("ping")
            assert await socket.recv() == "pong"
            await asyncio.sleep(0.3)
        with pytest.raises(websockets.ConnectionClosedError):
            await socket.recv()


async def test_the_end_of_a_connection_is_announced_and_comes() -> None:
    async with connected(lifetime_s=4.0, notice_s=2.0) as (venue, socket):
        assert (await hear(socket, "ends"))["ends"] > 0
        async with websockets.connect(venue.server.websocket_url + "/made") as next_socket:
            with pytest.raises(websockets.ConnectionClosedError):
                await hear(socket, "nothing")
            await next_socket.send("ping")
            assert "pong" in [await next_socket.recv() for _ in range(2)], (
                "it lives, and may have been told its own end"
            )


async def test_the_instrument_list_comes_in_parts() -> None:
    async with simulator(made_up(), symbols=SYMBOLS) as venue:
        first, second = [(await venue.get("/made/list", part=part))[1] for part in (0, 1)]

    assert [entry["name"] for entry in (*first["markets"], *second["markets"])] == list(SYMBOLS)
    assert (first["next"], second.get("next")) == (1, None)


async def test_request_weight_is_counted_over_the_venues_own_span() -> None:
    day_s = 86_400.0  # a test may run across the end of any span: of this one it hardly does
    venue = MadeUpVenue(rules=RULES._replace(weight=RateLimit(30, 1000 * day_s)))
    async with simulator(venue, symbols=SYMBOLS) as served:
        statuses = [(await served.get("/made/list"))[0] for _ in range(4)]
        async with served.session.get(served.server.rest_url + "/made/list") as refused:
            waits = int(refused.headers["Retry-After"])

    assert statuses == [200, 200, 200, 429]
    assert 60 < waits <= 1000 * day_s


async def test_two_venues_that_have_the_same_path_are_not_served_on_one_port() -> None:
    with pytest.raises(UsageError, match="made-up and other both have the path /made"):
        async with simulator(made_up(), MadeUpVenue(name="other"), symbols=SYMBOLS):
            pass


async def test_two_venues_whose_requests_cannot_be_told_apart_are_not_served_on_one_port() -> None:
    with pytest.raises(UsageError, match="bybit and bybit-spot both have the path /v5"):
        async with simulator("bybit", "bybit-spot"):
            pass
