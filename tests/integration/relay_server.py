"""A relay of Tardis's data on loopback: the simulator's, which wants a key, with all that may go wrong with it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from obflow.clock import SystemClock
from producers.simulator.exchange import SimulatedExchange
from producers.simulator.relay import SimulatedRelay
from producers.simulator.server import SimulatorServer
from producers.simulator.venues import simulated_venue

KEY = "a-relays-key"


class RelayServer:
    """The relay, and where it is.

    Attributes:
        url: Its address over HTTP.
        relay: What it does, and what it was asked.
    """

    def __init__(self, url: str, relay: SimulatedRelay) -> None:
        self.url = url
        self.relay = relay


@asynccontextmanager
async def relay(
    exchange: str, venue: str, symbols: Sequence[str], *, valid_s: float = 3600.0
) -> AsyncIterator[RelayServer]:
    """Serve it on a free port of loopback."""
    market = SimulatedExchange(
        simulated_venue(venue), symbols, seed=3, start_ns=SystemClock().now_ns(), changes_per_second=100
    )
    server = SimulatorServer({venue: market}, relays={exchange: venue})
    found = server.relays[exchange]
    found.key, found.valid_s = KEY, valid_s
    await server.start()
    try:
        yield RelayServer(server.rest_url, found)
    finally:
        await server.close()
