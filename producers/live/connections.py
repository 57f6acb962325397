"""WebSocket connections to a venue: opened, subscribed, read, and opened again when they are lost.

Lost connections come back after an exponential wait with full jitter, and never more often than the venue allows. The
WebSocket library answers the venue's pings and sends its own, so that a peer that is silently gone is noticed.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Protocol

import structlog
from aiolimiter import AsyncLimiter
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus, WebSocketException

from obflow.backoff import Backoff
from producers.books.router import VenueNotice
from producers.contract import Exchange
from producers.live.rest import TOO_MANY, asked_wait_s, is_loopback
from producers.messages import Ack, Notice, NoticeKind
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


class Listener(Protocol):
    """Who takes what a connection brings."""

    def on_open(self, connection: str, symbols: Sequence[str]) -> None:
        """It stands; subscriptions are about to be asked for."""
        ...

    def on_frame(self, connection: str, frame: bytes) -> Sequence[VenueNotice]:
        """A frame; what it told besides data is given back."""
        ...

    def on_oversized(self, connection: str) -> None:
        """A frame too large to be received at all; the connection is lost with it."""
        ...

    def on_lost(self, connection: str, symbols: Sequence[str]) -> None:
        """It is gone."""
        ...


class _Connect(connect):
    """The library's connection, staying where it was sent: the address is the operator's to choose."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        """A redirect is a refusal like any other."""
        return exc


class Connection:
    """One connection and the instruments it carries.

    Args:
        name: Its name in recordings and dead letters; unique to this run of the process.
        exchange: The venue.
        url: Address and path.
        symbols: Instruments to subscribe.
        listener: Takes what comes.
        max_bytes: Largest frame that is received; see `Listener.on_oversized`.
        connects: Keeps the venue's limit on new connections; shared by all of them.

    Attributes:
        ignored: What the venue said of its limits and could not be meant, by what it was.
    """

    def __init__(
        self,
        name: str,
        exchange: Exchange,
        url: str,
        symbols: Sequence[str],
        *,
        listener: Listener,
        max_bytes: int,
        connects: AsyncLimiter,
    ) -> None:
        self.name = name
        self.symbols = tuple(symbols)
        self._exchange = exchange
        self._url = url
        self._listener = listener
        self._max_bytes = max_bytes
        self._connects = connects
        self.ignored: Counter[str] = Counter()
        self._backoff = Backoff()
        self._next_id = 1

    async def run(self) -> None:
        """Keep the connection until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await self._connects.acquire()
            began = loop.time()
            try:
                await self._session()
            except (OSError, TimeoutError, WebSocketException, ExchangeUnreachable) as error:
                if loop.time() - began > STEADY_SECONDS:
                    self._backoff.reset()
                wait_s = self._backoff.next_s(self._asked_s(error))
                log.warning("connection_lost", connection=self.name, error=str(self._readable(error)), retry_s=wait_s)
                await asyncio.sleep(wait_s)

    async def _session(self) -> None:
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
            self._listener.on_open(self.name, self.symbols)
            try:
                await self._read(socket, await self._subscribe(socket))
            except (OSError, TimeoutError, ConnectionClosed, ExchangeUnreachable) as error:
                if isinstance(error, ConnectionClosedError) and error.sent is not None and error.sent.code == TOO_BIG:
                    self._listener.on_oversized(self.name)
                self._listener.on_lost(self.name, self.symbols)
                raise

    async def _subscribe(self, socket: ClientConnection) -> set[int]:
        """Ask for the streams; the request ids that are to be acknowledged."""
        messages = self._exchange.subscribe(self.symbols, self._next_id)
        pending = set(range(self._next_id, self._next_id + len(messages)))
        self._next_id += len(messages)
        for index, message in enumerate(messages):
            if index:
                await asyncio.sleep(1.0 / self._exchange.limits.client_messages_per_s)
            await socket.send(message, text=True)
        return pending

    async def _read(self, socket: ClientConnection, pending: set[int]) -> None:
        async with asyncio.timeout(ACK_SECONDS) as deadline:
            while True:
                frame = await socket.recv(decode=False)
                for notice in self._listener.on_frame(self.name, frame):
                    self._take(notice, pending)
                    if not pending:
                        deadline.reschedule(None)

    def _take(self, notice: VenueNotice, pending: set[int]) -> None:
        if isinstance(notice, Ack) and notice.request_id is not None:
            pending.discard(notice.request_id)
        elif isinstance(notice, Notice) and notice.kind is NoticeKind.REFUSED:
            raise ExchangeUnreachable(
                f"{self._exchange.venue} refused a subscription ({notice.detail})",
                next_step="check the symbols",
                connection=self.name,
            )
        elif isinstance(notice, Notice):
            log.warning("venue_notice", connection=self.name, kind=str(notice.kind), detail=notice.detail)

    def _asked_s(self, error: Exception) -> float:
        """Seconds the venue asks to be left alone where it refused the handshake; 0 where it does not."""
        if not isinstance(error, InvalidStatus):
            return 0.0
        told = next(iter(error.response.headers.get_all("Retry-After")), "")
        if not told and error.response.status_code not in TOO_MANY:
            return 0.0
        return asked_wait_s(told, self.ignored)

    def _readable(self, error: Exception) -> Exception:
        if isinstance(error, ExchangeUnreachable):
            return error
        why = (
            "a subscription was not acknowledged" if isinstance(error, TimeoutError) and not str(error) else str(error)
        )
        if isinstance(error, InvalidStatus) and 300 <= error.response.status_code < 400:
            why += ", a redirect, which is not followed"
        return ExchangeUnreachable(
            f"{self._exchange.venue} does not answer at {self._url} ({why})",
            next_step="check the network, or set producer.websocket_url",
        )
