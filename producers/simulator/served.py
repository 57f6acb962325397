"""One simulated venue while it is served: its time, its pauses and refusals, its clients."""

from __future__ import annotations

import asyncio
from collections import Counter, deque

from obflow.clock import Clock
from producers.simulator.control import Control
from producers.simulator.events import MarketEvent
from producers.simulator.exchange import Disconnect, SimulatedExchange
from producers.simulator.faults import Fault
from producers.simulator.relay import SimulatedRelay
from producers.simulator.sockets import Gateway
from schemas.units import NS_PER_SECOND

MAX_HELD_FRAMES = 100_000
"""Frames held back by a pause; beyond it the venue drops its clients instead."""


class ServedVenue:
    """A venue and the state of serving it.

    Args:
        exchange: The venue.
        clock: The clock it follows.
        stats: Counts what was served.
    """

    def __init__(self, exchange: SimulatedExchange, clock: Clock, stats: Counter[str]) -> None:
        self.exchange = exchange
        self.gateway = Gateway(exchange, clock, stats)
        self.relays: list[SimulatedRelay] = []
        self.paused_until_ns = 0
        self.no_connections_until_ns = 0
        self.refusals: deque[Control] = deque()
        self._clock = clock
        self._stats = stats
        self._held: deque[MarketEvent] = deque()
        self._span = 0
        self._weight = 0

    def emit(self, event: MarketEvent, now_ns: int) -> None:
        """Send an event, or hold it back during a pause."""
        if now_ns < self.paused_until_ns:
            self._held.append(event)
            if len(self._held) > MAX_HELD_FRAMES:
                self._held.clear()
                self.cut_all()
            return
        self.release()
        self._send(event)

    def release(self) -> None:
        """Send what a pause held back."""
        while self._held:
            self._send(self._held.popleft())

    def cut_all(self) -> None:
        """Cut every connection, to whoever passes its data on as well."""
        self.gateway.cut_all()
        for relay in self.relays:
            relay.cut_all()

    def _send(self, event: MarketEvent) -> None:
        self.gateway.send(event)
        for relay in self.relays:
            relay.send(event)

    async def advance(self, now_ns: int) -> None:
        """Let the venue's time pass, and send what left it."""
        exchange = self.exchange
        if now_ns >= self.paused_until_ns:
            self.release()
        while exchange.now_ns < now_ns:  # in slices: catching up after a stall leaves room for requests
            for item in exchange.advance(min(now_ns, exchange.now_ns + NS_PER_SECOND)):
                if isinstance(item, Disconnect):
                    self._stats["disconnects"] += 1
                    self.cut_all()
                else:
                    self.emit(item, now_ns)
            await asyncio.sleep(0)

    def charge(self, weight: int, now_ns: int) -> tuple[int, int]:
        """Add to the weight used in this span of time; the sum, and whole seconds until it is counted anew."""
        span_ns = int(self.exchange.venue.rules.weight.seconds * NS_PER_SECOND)
        span, passed_ns = divmod(now_ns, span_ns)
        if span != self._span:
            self._span, self._weight = span, 0
        self._weight += weight
        return self._weight, -((passed_ns - span_ns) // NS_PER_SECOND)

    def can_suffer(self, control: Control) -> bool:
        """Whether a fault can befall this venue."""
        is_new = control.fault == "list"
        return (
            control.venue in ("", self.exchange.venue.name)
            and (not control.symbol or (control.symbol in self.exchange.specs) != is_new)
            and not (is_new and not control.symbol)
            and (control.fault != "snapshot" or self.exchange.venue.rules.book_in_stream)
        )

    def suffer(self, control: Control) -> None:
        """Let a fault befall it."""
        until_ns = self._clock.now_ns() + int(control.seconds * NS_PER_SECOND)
        if control.fault in ("disconnect", "shutdown"):
            self._stats["disconnects"] += 1
            if control.fault == "shutdown":
                told = self.gateway.announce_shutdown()
                asyncio.get_running_loop().call_later(control.seconds, self.gateway.cut_these, told)
            else:
                self.cut_all()
        elif control.fault == "pause":
            self.paused_until_ns = until_ns
        elif control.fault == "refuse_connections":
            self.no_connections_until_ns = until_ns
        elif control.fault == "refuse_requests":
            self.refusals.extend([control] * control.count)
        elif control.fault == "trades_again":
            self.exchange.trades_again = control.count
        elif control.fault == "list":
            self.exchange.add_market(control.symbol)
        else:
            for symbol in [symbol for symbol in self.exchange.specs if control.symbol in ("", symbol)]:
                self._befall(control, symbol)

    def _befall(self, control: Control, symbol: str) -> None:
        if control.fault == "delist":
            self.exchange.delist(symbol)
        elif control.fault == "tick_size":
            self.exchange.refine(symbol)
        else:
            self.exchange.inject(Fault(control.fault), symbol, control.count, control.damage)
