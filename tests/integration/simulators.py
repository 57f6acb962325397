"""A simulated venue on loopback, for tests: started, asked, and told to misbehave."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from obflow.clock import SystemClock
from producers.simulator.contract import SimulatedVenue
from producers.simulator.exchange import SimulatedExchange
from producers.simulator.server import SimulatorServer
from producers.simulator.venues import simulated_venue


class Simulator:
    """A running server, and its side doors by HTTP as anybody would use them."""

    def __init__(self, server: SimulatorServer, session: aiohttp.ClientSession) -> None:
        self.server = server
        self.session = session

    async def get(self, path: str, **query: object) -> tuple[int, Any]:
        """Status and body of a request."""
        params = {name: str(value) for name, value in query.items()}
        async with self.session.get(self.server.rest_url + path, params=params) as answer:
            return answer.status, await answer.json()

    async def inject(self, fault: str, **options: object) -> None:
        """Let something go wrong."""
        async with self.session.post(f"{self.server.rest_url}/control", json={"fault": fault, **options}) as answer:
            assert answer.status == 200, await answer.text()

    async def report(self) -> dict[str, Any]:
        """What was served."""
        _, body = await self.get("/control")
        return dict(body)


@asynccontextmanager
async def simulator(
    *venues: str | SimulatedVenue, symbols: Sequence[str] = ("BTCUSDT", "ETHUSDT"), seed: int = 1, rate: float = 100.0
) -> AsyncIterator[Simulator]:
    """Serve venues, by name or made up, on a free port of loopback."""
    now_ns = SystemClock().now_ns()
    played = [simulated_venue(venue) if isinstance(venue, str) else venue for venue in venues]
    exchanges = {
        venue.name: SimulatedExchange(venue, symbols, seed=seed, start_ns=now_ns, changes_per_second=rate)
        for venue in played
    }
    server = SimulatorServer(exchanges)
    await server.start()
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
            yield Simulator(server, session)
    finally:
        await server.close()
