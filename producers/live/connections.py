"""WebSocket connections to a venue: opened, subscribed, read, and opened again when they are lost.

Lost connections come back after an exponential wait with full jitter, and never more often than the venue allows; one
that nears the end of its life is replaced in order. The WebSocket library answers the venue's pings and sends its own,
so that a peer that is silently gone is noticed.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from itertools import count
from typing import Any

import structlog
from aiolimiter import AsyncLimiter
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError, InvalidStatus, WebSocketException

from obflow.backoff import Backoff
from producers.contract import Exchange, Say
from producers.live.gate import HostGate, Refusal, is_refusal
from producers.live.rest import is_loopback
from producers.messages import Ack, Notice, NoticeKind, Reply, VenueNotice, Via
from schemas.errors import ExchangeUnreachable

OPEN_SECONDS = 10.0
ACK_SECONDS = 10.0
PING_SECONDS = 20.0
CLOSE_SECONDS = 1.0
STEADY_SECONDS = 5.0
"""A connection that lasted this long was a good one: the next wait is a short one again."""
QUEUED_FRAMES = 1_024
"""Frames read ahead; beyond it the venue's side of the socket fills up."""
TOO_BIG = 1009

log = structlog.get_logger(__name__)


class _Connect(connect):
    """The library's connection, staying where it was sent: the address is the operator's to choose."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        """Take a redirect for a refusal like any other."""
        return exc


class Connection:
    """One connection and the instruments it carries.

    Args:
        name: Its name in recordings and dead letters; unique to this run of the process.
        exchange: The venue.
        url: Address and path.
        symbols: Instruments to subscribe.
        enqueue: Takes what comes (how, the name, the bytes), once there is room.
        on_oversized: Is told of a frame too large to be received at all; the connection is lost with it.
        max_bytes: Largest frame that is received.
        connects: Keeps the venue's limit on new connections; shared by all of them.
        life_s: After so long it is replaced.
        gate: Who may ask the venue anything; by default its own.
    """

    def __init__(
        self,
        name: str,
        exchange: Exchange,
        url: str,
        symbols: Sequence[str],
        *,
        enqueue: Callable[[Via, str, bytes], Awaitable[None]],
        on_oversized: Callable[[str], None],
        max_bytes: int,
        connects: AsyncLimiter,
        life_s: float,
        gate: HostGate | None = None,
    ) -> None:
        self.name = name
        self.symbols = tuple(symbols)
        self._exchange = exchange
        self._url = url
        self._enqueue = enqueue
        self._on_oversized = on_oversized
        self._max_bytes = max_bytes
        self._connects = connects
        self.gate = gate or HostGate(exchange.limits)
        self._life_s = life_s
        self._backoff = Backoff()
        self._talk: _Talk | None = None

    async def run(self) -> None:
        """Keep the connection until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await self._connects.acquire()
            passed_ns = await self.gate.handshake()
            began = loop.time()
            try:
                await self._live_once(passed_ns)
            except (OSError, TimeoutError, WebSocketException, ExchangeUnreachable) as error:
                if loop.time() - began > STEADY_SECONDS:
                    self._backoff.reset()
                wait_s = self._backoff.next_s(self._asked_s(error, passed_ns))
                log.warning("connection_lost", connection=self.name, error=str(self._readable(error)), retry_s=wait_s)
                await asyncio.sleep(wait_s)
            else:
                log.info("connection_replaced", connection=self.name)

    def say(self, says: Sequence[Say]) -> None:
        """Send messages as soon as the venue's limit allows; without a connection nothing, since it begins anew."""
        if self._talk is not None:
            self._talk.say(says)

    def handle(self, notices: Sequence[VenueNotice]) -> None:
        """Handle what its frames told besides data."""
        for notice in notices:
            if isinstance(notice, Notice) and notice.kind is not NoticeKind.REFUSED:
                log.warning("venue_notice", connection=self.name, kind=str(notice.kind), detail=notice.detail)
            elif self._talk is not None:
                self._talk.handle(notice)

    def unsubscribe(self, symbols: Sequence[str]) -> None:
        """Carry these instruments no longer."""
        gone = [symbol for symbol in self.symbols if symbol in symbols]
        self.symbols = tuple(symbol for symbol in self.symbols if symbol not in gone)
        for part in in_messages(self._exchange, gone):
            self.say(self._exchange.unsubscribe(part))

    async def _live_once(self, passed_ns: int) -> None:
        """Open it and keep it until it is lost, which raises, or near the end of its life."""
        async with _Connect(
            self._url,
            compression=None,
            open_timeout=OPEN_SECONDS,
            close_timeout=CLOSE_SECONDS,
            ping_interval=PING_SECONDS,
            ping_timeout=PING_SECONDS,
            max_size=self._max_bytes,
            max_queue=QUEUED_FRAMES,
            proxy=None if is_loopback(self._url) else True,
        ) as socket:
            self.gate.welcome(passed_ns)
            await self._enqueue(Via.CONNECT, self.name, b"")
            talk = self._talk = _Talk(self._exchange, self.name)
            talk.say(self._exchange.keepalive.begin)
            for part in in_messages(self._exchange, self.symbols):
                talk.say(self._exchange.subscribe(part))
            try:
                await _first_of(self._read(socket), talk.speak(socket), talk.keep_alive(), talk.watch(), self._age())
            except (OSError, TimeoutError, WebSocketException, ExchangeUnreachable) as error:
                if isinstance(error, ConnectionClosedError) and error.sent is not None and error.sent.code == TOO_BIG:
                    self._on_oversized(self.name)
                await self._enqueue(Via.DISCONNECT, self.name, b"")
                raise
            finally:
                self._talk = None
            await self._enqueue(Via.DISCONNECT, self.name, b"")

    async def _read(self, socket: ClientConnection) -> None:
        while True:
            await self._enqueue(Via.WS, self.name, await socket.recv(decode=False))

    async def _age(self) -> None:
        """End in order: what still comes until the venue has ended the subscriptions is read.

        A successor that takes over without a hole would be opened here, before the streams are given up.
        """
        await asyncio.sleep(self._life_s)
        for part in in_messages(self._exchange, self.symbols):
            self.say(self._exchange.unsubscribe(part))
        if self._talk is not None:
            await self._talk.all_acknowledged()

    def _asked_s(self, error: Exception, passed_ns: int) -> float:
        """Close the gate where a refused handshake asks to be left alone; gives for how many seconds."""
        if not isinstance(error, InvalidStatus):
            return 0.0
        answer = error.response
        if not is_refusal(answer.status_code, answer.headers.raw_items()):
            return 0.0
        body = bytes(answer.body or b"").decode(errors="replace")
        return self.gate.refuse(passed_ns, Refusal(answer.status_code, tuple(answer.headers.raw_items()), body))

    def _readable(self, error: Exception) -> Exception:
        if isinstance(error, ExchangeUnreachable):
            return error
        redirected = isinstance(error, InvalidStatus) and 300 <= error.response.status_code < 400
        why = f"{error}, a redirect, which is not followed" if redirected else str(error)
        return ExchangeUnreachable(
            f"{self._exchange.venue} does not answer at {self._url} ({why})",
            next_step="check the network, or set producer.websocket_url",
        )


class _Talk:
    """What is said on one open socket: within the venue's rate, urgent things first, and watched until acknowledged."""

    def __init__(self, exchange: Exchange, connection: str) -> None:
        self._exchange = exchange
        self._connection = connection
        self._outgoing: asyncio.PriorityQueue[tuple[bool, int, Say]] = asyncio.PriorityQueue()
        self._numbers = count()
        self._awaited: Counter[str] = Counter()
        self._settled = asyncio.Event()
        self._settled.set()
        self._progress = asyncio.Event()
        self._refusal = ""

    def say(self, says: Sequence[Say], *, urgent: bool = False) -> None:
        """Send these in their order; urgent ones before all others."""
        for say in says:
            self._outgoing.put_nowait((not urgent, next(self._numbers), say))
            if say.acknowledged_by:
                self._awaited.update(say.acknowledged_by)
                self._note_progress()

    def handle(self, notice: VenueNotice) -> None:
        """Note an acknowledgement or a refusal; answer a heartbeat."""
        if isinstance(notice, Ack):
            self._awaited.subtract((notice.key,))
            self._awaited = +self._awaited  # an acknowledgement of nothing is none
            self._note_progress()
        elif isinstance(notice, Reply):
            self.say([Say(notice.raw)], urgent=True)
        elif isinstance(notice, Notice):
            self._refusal = notice.detail or "no reason given"
            self._note_progress()

    async def speak(self, socket: ClientConnection) -> None:
        """Send what there is to say."""
        allowed = self._exchange.limits.client_messages
        pace = AsyncLimiter(1, allowed.seconds / allowed.times)
        while True:
            _, _, say = await self._outgoing.get()
            await pace.acquire()
            await socket.send(say.raw, text=True)
            if say.acknowledged_by:
                self._note_progress()

    async def keep_alive(self) -> None:
        """Send the client's ping as often as the venue wants it."""
        rule = self._exchange.keepalive
        while rule.every_s:
            await asyncio.sleep(rule.every_s)
            self.say([Say(rule.message)], urgent=True)
        await asyncio.Event().wait()

    async def watch(self) -> None:
        """Raise where the venue refuses something, or leaves it without an answer."""
        while not self._refusal:
            self._progress.clear()
            try:
                async with asyncio.timeout(ACK_SECONDS):
                    await self._progress.wait()
            except TimeoutError:
                if self._awaited:
                    raise self._failed("did not acknowledge a subscription", "check the network") from None
        raise self._failed(f"refused a subscription ({self._refusal})", "check the symbols")

    async def all_acknowledged(self) -> None:
        """Return once everything said is acknowledged; `watch` sees that it is."""
        await self._settled.wait()

    def _note_progress(self) -> None:
        self._progress.set()
        if self._awaited:
            self._settled.clear()
        else:
            self._settled.set()

    def _failed(self, what: str, next_step: str) -> ExchangeUnreachable:
        return ExchangeUnreachable(f"{self._exchange.venue} {what}", next_step=next_step, connection=self._connection)


def in_messages(exchange: Exchange, symbols: Sequence[str]) -> list[Sequence[str]]:
    """Split instruments so that the streams of each part fit into one message."""
    return split(exchange, symbols, exchange.limits.streams_per_message)


def split(exchange: Exchange, symbols: Sequence[str], streams: int) -> list[Sequence[str]]:
    """Split instruments into parts of at most so many streams."""
    each = max(1, streams // len(exchange.streams(symbols[0]))) if symbols else 1
    return [symbols[start : start + each] for start in range(0, len(symbols), each)]


async def _first_of(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Run side by side until the first one ends, and end as it did."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
