"""Every simulated venue, each on a port of its own, in a process beside the one whose memory is measured.

    python -m tests.integration.many_venues [BEGAN_NS SPEED CHANGES_PER_SECOND]

It reads one line of JSON, the symbols of each venue; writes one, the port of each; and serves until a line of input, or
its end. Then it says how late its venues were themselves, of their time: a machine may be too slow to play them.
Its time is the machine's, or so many times as fast from a moment on.
"""

from __future__ import annotations

import asyncio
import json
import sys

from obflow.clock import Clock, SystemClock
from producers.simulator.exchange import SimulatedExchange
from producers.simulator.server import SimulatorServer
from producers.simulator.venues import SIMULATED
from schemas.units import NS_PER_MS
from tests.support.fast_clock import FastClock

CHANGES_PER_SECOND = 5.0
"""A book that was fetched is LIVE with its second update: quiet markets take some tenths of a second of their own."""
LEVELS = 120


async def serve(symbols: dict[str, list[str]], clock: Clock, changes_per_second: float) -> None:
    """Serve until the input ends."""
    servers, exchanges = {}, []
    for name, traded in symbols.items():
        exchange = SimulatedExchange(
            SIMULATED[name],
            traded,
            start_ns=clock.now_ns(),
            changes_per_second=changes_per_second,
            opening_levels=LEVELS,
        )
        exchanges.append(exchange)
        servers[name] = SimulatorServer({name: exchange}, clock)
        await servers[name].start()
    sys.stdout.write(json.dumps({name: server.port for name, server in servers.items()}) + "\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.readline)
    late_ns = max(clock.now_ns() - exchange.now_ns for exchange in exchanges)
    sys.stdout.write(json.dumps({"late_ms": late_ns / NS_PER_MS}) + "\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    for server in servers.values():
        await server.close()


if __name__ == "__main__":
    wanted = json.loads(sys.stdin.readline())
    if sys.argv[1:]:
        began, times, rate = sys.argv[1:]
        asyncio.run(serve(wanted, FastClock(int(began), float(times)), float(rate)))
    else:
        asyncio.run(serve(wanted, SystemClock(), CHANGES_PER_SECOND))
