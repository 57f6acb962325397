"""A venue that refuses one of many subscriptions: that instrument's feed says so, and the others come."""

from __future__ import annotations

import asyncio

import pytest

from obflow.clock import SystemClock
from producers.books.router import FrameRouter
from producers.exchanges import EXCHANGES
from producers.live import talk
from producers.live.source import VenueSource
from producers.messages import Instrument
from tests.integration.simulators import simulator

pytestmark = pytest.mark.integration


@pytest.mark.parametrize(
    ("venue", "traded", "refused"),
    [
        ("bybit", "BTCUSDT", "GONEUSDT"),
        ("okx", "BTC-USDT-SWAP", "GONE-USDT-SWAP"),
        ("deribit", "BTC-PERPETUAL", "GONE-PERPETUAL"),
    ],
)
async def test_one_refused_symbol_costs_the_others_one_connection(
    monkeypatch: pytest.MonkeyPatch, venue: str, traded: str, refused: str
) -> None:
    monkeypatch.setattr(talk, "ACK_SECONDS", 1.0)
    symbols, told = (traded, refused), {}
    router = FrameRouter(EXCHANGES[venue], {name: Instrument(venue, name, "0.0001", "0.0001") for name in symbols})
    async with simulator(venue, symbols=[traded]) as served, asyncio.timeout(15), asyncio.TaskGroup() as group:
        source = VenueSource(
            EXCHANGES[venue],
            symbols,
            served.server.websocket_url,
            clock=SystemClock(),
            max_bytes=10**7,
            on_oversized=lambda _: None,
            on_refused=told.__setitem__,
        )
        source.start(group.create_task)
        async for frame in source.frames():
            source.handle(frame, notices) if (notices := router.handle(frame).notices) else None
            if refused in told and router.streams[traded].counters.deltas_applied > 12:
                break
        connections = (await served.report())["stats"]["connections"]
        for task in source.tasks:
            task.cancel()

    assert list(told) == [refused]
    assert told[refused]
    assert connections == 2
    assert not router.streams[refused].is_live
