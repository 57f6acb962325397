"""Every simulated venue, each on a port of its own, in a process beside the one whose memory is measured.

It reads one line of JSON, the symbols of each venue; writes one, the port of each; and serves until its input ends.
"""

from __future__ import annotations

import asyncio
import json
import sys

from obflow.clock import SystemClock
from producers.simulator.exchange import SimulatedExchange
from producers.simulator.server import SimulatorServer
from producers.simulator.venues import SIMULATED

CHANGES_PER_SECOND = 5.0
"""A book that was fetched is LIVE with its second update: quiet markets take some tenths of a second of their own."""
LEVELS = 120


async def serve(symbols: dict[str, list[str]]) -> None:
    """Serve until the input ends."""
    servers = {}
    for name, traded in symbols.items():
        exchange = SimulatedExchange(
            SIMULATED[name],
            traded,
            start_ns=SystemClock().now_ns(),
            changes_per_second=CHANGES_PER_SECOND,
            opening_levels=LEVELS,
        )
        servers[name] = SimulatorServer({name: exchange})
        await servers[name].start()
    sys.stdout.write(json.dumps({name: server.port for name, server in servers.items()}) + "\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    for server in servers.values():
        await server.close()


if __name__ == "__main__":
    asyncio.run(serve(json.loads(sys.stdin.readline())))
