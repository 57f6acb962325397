"""The producers' commands: produce, replay, record, simulate."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from obflow.cli import JsonFlag, emit_json, load_settings, run_async
from schemas.errors import UsageError

if TYPE_CHECKING:
    import asyncio

    from producers.simulator.exchange import SimulatedExchange
    from producers.simulator.faults import Fault

NS_PER_SECOND = 1_000_000_000
RECORDINGS_START_NS = 1_704_067_200 * NS_PER_SECOND
"""Virtual time of a generated recording begins here: 2024-01-01T00:00:00Z."""

Symbols = Annotated[list[str] | None, typer.Option("--symbol", help="Instrument, as the venue writes it; repeatable.")]
Every = Annotated[float, typer.Option(help="Seconds between two, on average; 0 is never.", min=0)]


def simulate(
    venue: Annotated[list[str] | None, typer.Option(help="Venue to speak for; repeatable.")] = None,
    symbol: Symbols = None,
    port: Annotated[int, typer.Option(help="Port on loopback; 0 takes a free one.", min=0, max=65535)] = 0,
    seed: Annotated[int, typer.Option(help="The same seed gives the same markets.")] = 0,
    rate: Annotated[float, typer.Option(help="Order events a second and instrument.", min=0.1, max=1e5)] = 200.0,
    gap_every: Every = 0.0,
    disconnect_every: Every = 0.0,
    disorder_every: Every = 0.0,
    duplicate_every: Every = 0.0,
    corrupt_every: Every = 0.0,
    record: Annotated[
        Path | None, typer.Option(help="Write a recording of virtual time instead of serving.", metavar="FILE")
    ] = None,
    seconds: Annotated[float, typer.Option(help="Virtual seconds to record.", min=0.1, max=86_400)] = 60.0,
    json: JsonFlag = False,
) -> None:
    """Simulate an exchange: its WebSocket and REST on loopback, from a seeded order flow whose true book is known.

    Example: obflow simulate --venue binance-futures --symbol BTCUSDT --symbol ETHUSDT --seed 7 --gap-every 20
    """
    from producers.simulator.faults import Fault

    load_settings()
    every_s = {
        Fault.GAP: gap_every,
        Fault.DISCONNECT: disconnect_every,
        Fault.DISORDER: disorder_every,
        Fault.DUPLICATE: duplicate_every,
        Fault.CORRUPT: corrupt_every,
    }
    market = _Market(venue or ["binance-futures"], symbol, seed, rate, {kind: s for kind, s in every_s.items() if s})
    if record is None:
        _serve_simulation(market, port, json=json)
    else:
        _record_simulation(market, record, seconds, json=json)


class _Market:
    """What is to be simulated; `exchange` makes one of its venues."""

    def __init__(
        self, venues: list[str], symbols: list[str] | None, seed: int, rate: float, every_s: dict[Fault, float]
    ) -> None:
        self.venues = list(dict.fromkeys(venues))
        self.symbols = list(dict.fromkeys(symbols)) if symbols else None
        self.seed = seed
        self.rate = rate
        self.every_s = every_s

    def exchange(self, venue: str, start_ns: int) -> SimulatedExchange:
        from producers.simulator.catalogue import listed_symbols, require_venue
        from producers.simulator.exchange import SimulatedExchange

        return SimulatedExchange(
            venue,
            self.symbols or listed_symbols(require_venue(venue))[:2],
            seed=self.seed,
            start_ns=start_ns,
            changes_per_second=self.rate,
            faults_every_s=self.every_s,
        )


def _serve_simulation(market: _Market, port: int, *, json: bool) -> None:
    from obflow.clock import SystemClock
    from producers.simulator.server import SimulatorServer

    async def main(stop: asyncio.Event) -> dict[str, object]:
        now_ns = SystemClock().now_ns()
        server = SimulatorServer({venue: market.exchange(venue, now_ns) for venue in market.venues})
        try:
            await server.start(port)
        except OSError as error:
            raise UsageError(
                f"port {port} cannot be used ({error.strerror})", next_step="--port 0 takes a free one"
            ) from None
        where = {"websocket_url": server.websocket_url, "rest_url": server.rest_url}
        if json:
            emit_json(where)
        else:
            for name, url in where.items():
                sys.stdout.write(f"{name} {url}\n")
            sys.stdout.flush()
        try:
            await server.wait(stop)
        finally:
            await server.close()
        return server.report()

    report = run_async(main)
    if json:
        emit_json(report)


def _record_simulation(market: _Market, path: Path, seconds: float, *, json: bool) -> None:
    from producers.simulator.recording_files import write_recording

    if len(market.venues) > 1:
        raise UsageError("a recording holds one venue", next_step="name one --venue")
    exchange = market.exchange(market.venues[0], RECORDINGS_START_NS)
    summary = write_recording(exchange, path, seconds, seed=market.seed, rate=market.rate, faults=bool(market.every_s))
    if json:
        emit_json(summary)
    else:
        sys.stdout.write(f"{summary['lines']} lines in {path}\n")
