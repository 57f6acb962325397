"""The simulator's command: one loopback server that speaks as venues do, or a recording of what it would say."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from obflow.cli import JsonFlag, emit_json, load_settings, run_async
from obflow.terminal import say
from schemas.errors import UsageError
from schemas.messages import InstrumentKey
from schemas.units import NS_PER_SECOND

if TYPE_CHECKING:
    import asyncio

    from producers.simulator.exchange import SimulatedExchange
    from producers.simulator.faults import Fault

RECORDINGS_START_NS = 1_704_067_200 * NS_PER_SECOND
"""Virtual time of a generated recording begins here: 2024-01-01T00:00:00Z."""

Every = Annotated[float, typer.Option(help="Seconds between two, on average; 0 is never.", min=0)]


def simulate(
    venue: Annotated[
        list[str] | None, typer.Option(help="Venue to speak for, or relay: and an exchange of Tardis; repeatable.")
    ] = None,
    symbol: Annotated[
        list[str] | None, typer.Option(help="Instrument, of each venue, or VENUE:SYMBOL; repeatable.")
    ] = None,
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.", min=0, max=65535)] = 0,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 in a container.")] = "127.0.0.1",
    seed: Annotated[int, typer.Option(help="The same seed gives the same markets.")] = 0,
    rate: Annotated[float, typer.Option(help="Order events a second and instrument.", min=0.1, max=1e5)] = 200.0,
    gap_every: Every = 0.0,
    disconnect_every: Every = 0.0,
    disorder_every: Every = 0.0,
    duplicate_every: Every = 0.0,
    corrupt_every: Every = 0.0,
    dislocate_every: Every = 0.0,
    dislocate: Annotated[
        list[str] | None, typer.Option(help="Venue whose markets stray 25 bps for 4 s; repeatable; all without it.")
    ] = None,
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
    market = _Market(venue or [], symbol or [], seed, rate, {kind: s for kind, s in every_s.items() if s})
    market.stray(dislocate or market.venues, dislocate_every)
    if record is None:
        _serve_simulation(market, host, port, json=json)
    else:
        _record_simulation(market, record, seconds, json=json)


class _Market:
    """What is to be simulated; `exchange` makes one of its venues."""

    def __init__(
        self, venues: list[str], symbols: list[str], seed: int, rate: float, every_s: dict[Fault, float]
    ) -> None:
        from producers.live.tardis import venue_at_tardis
        from producers.tardis.venues import relayed_in

        self._named = [InstrumentKey.parse(text) if ":" in text else InstrumentKey("", text) for text in symbols]
        named = [key.venue for key in self._named if key.venue]
        self.relays = {name: venue_at_tardis(name).venue for venue in venues if (name := relayed_in(venue))}
        asked = [self.relays.get(relayed_in(venue), venue) for venue in venues]
        self.venues = list(dict.fromkeys([*asked, *named])) or ["binance-futures"]
        self.seed = seed
        self.rate = rate
        self.every_s = every_s
        self.dislocations_every_s: dict[str, float] = {}

    def stray(self, venues: Iterable[str], every_s: float) -> None:
        """Let markets of these venues stray, so often."""
        self.dislocations_every_s = dict.fromkeys(venues, every_s)

    def exchange(self, venue: str, start_ns: int) -> SimulatedExchange:
        from producers.simulator.exchange import SimulatedExchange
        from producers.simulator.venues import simulated_venue

        speaker = simulated_venue(venue)
        return SimulatedExchange(
            speaker,
            self._symbols(venue) or speaker.listed[:2],
            seed=self.seed,
            start_ns=start_ns,
            changes_per_second=self.rate,
            faults_every_s=self.every_s,
            dislocations_every_s=self.dislocations_every_s.get(venue, 0.0),
        )

    def _symbols(self, venue: str) -> list[str]:
        """Those asked for of each venue, or of this one."""
        return list(dict.fromkeys(key.symbol for key in self._named if key.venue in ("", venue)))


def _serve_simulation(market: _Market, host: str, port: int, *, json: bool) -> None:
    from obflow.clock import SystemClock
    from producers.simulator.server import SimulatorServer

    async def main(stop: asyncio.Event) -> dict[str, object]:
        now_ns = SystemClock().now_ns()
        exchanges = {venue: market.exchange(venue, now_ns) for venue in market.venues}
        server = SimulatorServer(exchanges, relays=market.relays)
        try:
            await server.start(port, host)
        except OSError as error:
            raise UsageError(
                f"{host}:{port} cannot be listened on ({error.strerror})", next_step="--port 0 takes a free one"
            ) from None
        where = {"websocket_url": server.websocket_url, "rest_url": server.rest_url}
        where |= {"relay_url": server.rest_url} if market.relays else {}
        if json:
            emit_json(where)
        else:
            for name, url in where.items():
                say(f"{name} {url}")
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

    if len(market.venues) > 1 or market.relays:
        raise UsageError("a recording holds one venue", next_step="name one --venue")
    exchange = market.exchange(market.venues[0], RECORDINGS_START_NS)
    summary = write_recording(exchange, path, seconds, seed=market.seed, rate=market.rate, faults=bool(market.every_s))
    if json:
        emit_json(summary)
    else:
        say(f"{summary['lines']} lines in {path}")
