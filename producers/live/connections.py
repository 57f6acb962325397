"""WebSocket connections to a venue: opened, replaced before they end, opened again when lost.

Lost connections come back after an exponential wait with full jitter, and never more often than the venue allows; a
host that is away is tried by one of them at a time (`tries`). One whose end is announced, by the venue or by its age,
is handed over: a successor is opened and subscribed while it still serves, both bring the same updates for a moment,
and then it is ended in order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import count
from typing import Any

import structlog
from aiolimiter import AsyncLimiter
from websockets.exceptions import ConnectionClosed, InvalidStatus

from obflow.backoff import Backoff, growing_wait_s
from producers.contract import Exchange, Login, Say
from producers.live.attempts import Attempts
from producers.live.gate import HostGate, Refusal, is_refusal, refusal_in_close
from producers.live.subscription_parts import in_messages
from producers.live.talk import SubscriptionRefused, TooManyRequests
from producers.live.tries import LONGEST_WAIT_S, HostTries
from producers.live.venue_socket import LOST, NO_HEADERS, VenueSocket
from producers.messages import Notice, NoticeKind, VenueNotice, Via
from schemas.errors import ExchangeUnreachable

STEADY_SECONDS = 5.0
"""A connection that lasted this long was a good one: the next wait is a short one again."""
OVERLAP_SECONDS = 1.0
"""For so long both bring everything: longer than one can be behind the other."""
HANDOVER_SECONDS = 30.0
"""A successor over which not everything came by then is kept all the same; the rest is resynced."""
LEAVE_SECONDS = 15.0
SOON_SECONDS = 60.0
"""A successor whose end is announced sooner is no better than the one before it."""
SOON_AT_ONCE = 2
"""So many of these in a row are replaced at once all the same."""
FIRST_STAY_SECONDS = 1.0
"""For so long the next is kept, and each one after it twice as long."""
REFUSED_SECONDS = 4.0
"""After the second refusal that names no instrument: each further one doubles it."""
LONGEST_REFUSED_SECONDS = 300.0

log = structlog.get_logger(__name__)


class ConnectionEnded(ConnectionError):
    """A socket ended in order, since it was left."""

    def __str__(self) -> str:
        return "the connection ended"


class Connection:
    """Carries instruments, over one socket at a time, or two while one takes over from the other.

    Attributes:
        attempts: What came of tries to have it stand.

    Args:
        name: Its name in recordings and dead letters; unique to this run of the process. A successor's has a number.
        exchange: The venue.
        url: Address and path.
        symbols: Instruments to subscribe.
        enqueue: Takes what comes (how, the name, the bytes), once there is room.
        on_oversized: Is told of a frame too large to be received at all; the connection is lost with it.
        max_bytes: Largest frame that is received.
        connects: Keeps the venue's limit on new connections; shared by all of them.
        life_s: After so long it is handed over.
        gate: Who may ask the venue anything; by default its own.
        tries: Who may try a host that is away; shared by all connections to it.
        turns: How many connections are handed over at a time; shared by all of them.
        comes_over: Whether everything comes over a successor, by its name, so that the older one may go.
        subscribe: What subscribes to instruments, where that is not all that the venue has of them.
        on_refused: Is told of an instrument that the venue will not send, and why: the connection goes on without it.
        on_away: Is told of an instrument why nothing carries it for some time, and with an empty reason that something
            does again.
        headers: Sent with each handshake.
        login: How each socket makes itself known; None where it need not.
        path: What of its address is the venue's to say; who shares it may share the connection.
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
        tries: HostTries | None = None,
        turns: asyncio.Semaphore | None = None,
        comes_over: Callable[[str], bool] = lambda _: True,
        subscribe: Callable[[Sequence[str]], list[Say]] | None = None,
        on_refused: Callable[[str, str], None] = lambda *_: None,
        on_away: Callable[[str, str], None] = lambda *_: None,
        headers: Mapping[str, str] = NO_HEADERS,
        login: Login | None = None,
        path: str = "",
    ) -> None:
        self.name = name
        self.login = login
        self.path = path
        self.headers = headers
        self._on_refused = on_refused
        self._on_away = on_away
        self.symbols = tuple(symbols)
        self.exchange = exchange
        self.url = url
        self.enqueue = enqueue
        self.on_oversized = on_oversized
        self.max_bytes = max_bytes
        self.gate = gate or HostGate(exchange.limits)
        self._connects = connects
        self._life_s = life_s
        self._turns = turns or asyncio.Semaphore()
        self._tries = tries or HostTries()
        self._comes_over = comes_over
        self.subscribe = subscribe or exchange.subscribe
        self.gives_up = exchange.unsubscribe if subscribe is None else lambda _: []
        self._backoff = Backoff(most_s=LONGEST_WAIT_S)
        self._links: dict[str, VenueSocket] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._numbers = count(2)
        self._announced = asyncio.Event()
        self._renewed = asyncio.Event()
        self._wanted = asyncio.Event()
        self._asked_s = 0.0
        self._refusals = 0
        self.attempts = Attempts(self._tries, self._tell_away)

    async def run(self) -> None:
        """Keep the connection until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await self._has_symbols()
            await self.attempts.begin()
            began, self._asked_s = loop.time(), 0.0
            self._announced.clear()
            self._renewed.clear()  # it begins anew anyway
            try:
                await self._live(await self._open(self.name))
            except ConnectionEnded as error:
                if self.symbols:
                    await self._wait_out(error, loop.time() - began)
                else:
                    log.info("connection_given_up", connection=self.name)
            except LOST as error:
                await self._wait_out(error, loop.time() - began)
            finally:
                await self._drop_all()

    async def _wait_out(self, error: BaseException, lasted_s: float) -> None:
        """Tell that it is lost, and wait until it may be tried again."""
        readable = self._readable(error)
        self.attempts.note_lost(readable.cause)
        wait_s = self._wait_s(lasted_s)
        retry_s = max(wait_s, self._tries.left_s)
        log.warning("connection_lost", connection=self.name, error=str(readable), retry_s=retry_s)
        await asyncio.sleep(wait_s)

    async def _has_symbols(self) -> None:
        """Wait until there is anything to carry: the venue may have refused all that there was."""
        self._wanted.clear()
        if not self.symbols:
            await self._wanted.wait()

    def _wait_s(self, lasted_s: float) -> float:
        """Tell how long to wait by itself: longer with each loss soon after it stood; a host that is away has turns."""
        if not self.attempts.has_stood:
            self.attempts.note_failed()
            return self._asked_s
        if lasted_s > STEADY_SECONDS:
            self._backoff.reset()
        return self._backoff.next_s(self._asked_s)

    @property
    def is_careful(self) -> bool:
        """Whether instruments are subscribed one after the other: the venue refused some, and did not say which."""
        return self._refusals > 0 and len(self.symbols) > 1

    def note_accepted(self) -> None:
        """Note that the venue sends all that it is asked for here."""
        if self._refusals > 1:
            self._tell_refused("")
        self._refusals = 0

    def _tell_away(self, why: str) -> None:
        for symbol in self.symbols:
            self._on_away(symbol, why)

    def say(self, says: Sequence[Say]) -> None:
        """Send messages as soon as the venue's limit allows; without a connection nothing, since it begins anew."""
        for link in self._links.values():
            link.talk.say(says)

    def handle(self, notices: Sequence[VenueNotice], link: str = "") -> None:
        """Handle what the frames of one of its sockets told besides data."""
        heard = self._links.get(link or self.name)
        for notice in notices:
            if isinstance(notice, Notice) and notice.kind is NoticeKind.SERVER_SHUTDOWN:
                log.warning("venue_notice", connection=link or self.name, kind=str(notice.kind), detail=notice.detail)
                if heard is not None and heard is self._newest:
                    self._announced.set()
            elif heard is not None:
                heard.talk.handle(notice)

    def reconnect(self) -> None:
        """End what stands, in order; it is opened anew like any connection that was lost."""
        for link in self._links.values():
            link.leave()

    def hand_over(self) -> None:
        """Let a successor take over now, as at the end of its life; nothing is lost, and whole books come over it."""
        self._renewed.set()

    def unsubscribe(self, symbols: Sequence[str]) -> None:
        """Carry these instruments no longer. A connection without any ends: some bring what their address says."""
        gone = [symbol for symbol in self.symbols if symbol in symbols]
        self.symbols = tuple(symbol for symbol in self.symbols if symbol not in gone)
        for part in in_messages(self.exchange, gone):
            # Nobody waits for an answer: of what it trades no longer a venue may give none.
            self.say([say._replace(acknowledged_by=()) for say in self.gives_up(part)])
        if gone and not self.symbols:
            self.reconnect()

    def add(self, symbols: Sequence[str]) -> None:
        """Carry instruments more."""
        self.symbols = (*self.symbols, *symbols)
        self._wanted.set()
        for part in in_messages(self.exchange, symbols):
            self.say(self.subscribe(part))

    @property
    def is_connected(self) -> bool:
        """Whether one of its sockets stands."""
        return any(link.stands.is_set() for link in self._links.values())

    @property
    def _newest(self) -> VenueSocket | None:
        return next(reversed(self._links.values()), None)

    async def _open(self, name: str) -> VenueSocket:
        """Begin to open a socket, when the gate and the venue's limit let one pass."""
        await self._connects.acquire()
        passed_ns = await self.gate.handshake()
        link = self._links[name] = VenueSocket(name, self)
        if not self.symbols:  # given up while it waited for its turn
            link.leave()
        self._tasks[name] = asyncio.create_task(self._kept(link, passed_ns))
        return link

    async def _kept(self, link: VenueSocket, passed_ns: int) -> None:
        try:
            await link.run(passed_ns)
        except InvalidStatus as error:
            self._close_gate(error, passed_ns)
            raise
        except TooManyRequests as error:
            self._asked_s = self.gate.refuse(passed_ns, Refusal(429, (), error.why, error.why))
            raise
        except SubscriptionRefused as error:
            self._leave_out(error)
            raise
        except ConnectionClosed as error:
            self._heed_close(error, passed_ns)
            raise
        finally:
            self._links.pop(link.name, None)

    async def _live(self, link: VenueSocket) -> None:
        """Keep a socket, and its successors, until one is lost without one.

        Where ends of successors are announced soon too, they are kept for longer each time: the next fares no better.
        """
        loop, soon, is_successor = asyncio.get_running_loop(), 0, False
        while True:
            began = loop.time()
            is_announced = await self._until_due(link)
            is_soon = is_successor and is_announced and loop.time() - began < SOON_SECONDS
            soon = soon + 1 if is_soon else 0
            if soon > SOON_AT_ONCE:
                await self._stay(link, growing_wait_s(soon - SOON_AT_ONCE - 1, FIRST_STAY_SECONDS, SOON_SECONDS))
            link, is_successor = await self._hand_over(link), True

    async def _until_due(self, link: VenueSocket) -> bool:
        """Wait for the announcement of its end, which gives True, its age or a wish; raises where it is lost before."""
        told, wished = (asyncio.ensure_future(event.wait()) for event in (self._announced, self._renewed))
        try:
            await self._stay(link, self._life_s, told, wished)
            return told.done()
        finally:
            told.cancel()
            wished.cancel()

    async def _stay(self, link: VenueSocket, seconds: float, *others: asyncio.Future[Any]) -> None:
        """Keep a socket for so long, or until something else is done; raises where it is lost before."""
        task = self._tasks[link.name]
        await asyncio.wait((task, *others), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
            raise ConnectionEnded

    async def _hand_over(self, old: VenueSocket) -> VenueSocket:
        """Give what a socket carries to a successor; raises where it is lost before one has it."""
        async with self._turns:
            self._announced.clear()  # from here on an announcement is the successor's
            self._renewed.clear()
            while True:
                new = await self._open(f"{self.name}~{next(self._numbers)}")
                if await self._has_taken_over(old, new):
                    break
                if self._tasks[old.name].done():
                    self._tasks[old.name].result()
                    raise ConnectionEnded
                await asyncio.sleep(self._backoff.next_s())
            old.leave()
            await asyncio.wait((self._tasks[old.name],), timeout=LEAVE_SECONDS)
            await self._drop(old.name)
        self._backoff.reset()
        log.info("connection_replaced", connection=old.name, by=new.name)
        return new

    async def _has_taken_over(self, old: VenueSocket, new: VenueSocket) -> bool:
        """Wait until a successor is subscribed, and then until everything comes over it; False where it was lost."""
        task, subscribed = self._tasks[new.name], asyncio.ensure_future(new.is_subscribed())
        try:
            await asyncio.wait((task, subscribed), return_when=asyncio.FIRST_COMPLETED)
        finally:
            subscribed.cancel()
        waited_s = 0.0
        while not task.done() and waited_s < HANDOVER_SECONDS and not self._tasks[old.name].done():
            await asyncio.sleep(OVERLAP_SECONDS)
            waited_s += OVERLAP_SECONDS
            if self._comes_over(new.name):
                break
        if not task.done():
            return True
        log.warning("successor_lost", connection=new.name, error=str(self._readable(_error_of(task))))
        await self._drop(new.name)
        return False

    async def _drop(self, name: str) -> None:
        """End a socket's task, whatever it is at."""
        task = self._tasks.pop(name)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def _drop_all(self) -> None:
        for name in tuple(self._tasks):
            await self._drop(name)

    def _leave_out(self, refused: SubscriptionRefused) -> None:
        """Carry no longer what the venue refuses: else the connection would be lost with it time and again.

        Where it does not say which, they are asked for one after the other, another one first each time; a refusal of
        whatever comes first is about none of them, and is waited out, for minutes at last.
        """
        if not refused.symbols:
            self._refusals += 1
            self.symbols = (*self.symbols[1:], *self.symbols[:1])
            if self._refusals > 1:
                self._asked_s = growing_wait_s(self._refusals - 2, REFUSED_SECONDS, LONGEST_REFUSED_SECONDS)
                self._tell_refused(refused.why)
            return
        self.symbols = tuple(symbol for symbol in self.symbols if symbol not in refused.symbols)
        for symbol in refused.symbols:
            self._on_refused(symbol, refused.why)

    def _tell_refused(self, why: str) -> None:
        for symbol in self.symbols:
            self._on_refused(symbol, why)

    def _close_gate(self, error: InvalidStatus, passed_ns: int) -> None:
        """Close the gate where a refused handshake asks to be left alone."""
        answer = error.response
        headers = tuple(answer.headers.raw_items())
        if is_refusal(answer.status_code, headers):
            body = bytes(answer.body or b"").decode(errors="replace")
            self._asked_s = self.gate.refuse(passed_ns, Refusal(answer.status_code, headers, body))

    def _heed_close(self, error: ConnectionClosed, passed_ns: int) -> None:
        """Close the gate where the server ended a socket for how often it is asked."""
        refusal = refusal_in_close(error.rcvd.code, error.rcvd.reason) if error.rcvd else None
        if refusal is not None:
            self._asked_s = self.gate.refuse(passed_ns, refusal)

    def _readable(self, error: BaseException) -> ExchangeUnreachable:
        if isinstance(error, ExchangeUnreachable):
            return error
        redirected = isinstance(error, InvalidStatus) and 300 <= error.response.status_code < 400
        why = f"{error}, a redirect, which is not followed" if redirected else str(error)
        return ExchangeUnreachable(
            f"{self.exchange.venue} does not answer at {self.url} ({why})",
            next_step="check the network, or set producer.websocket_url",
        )


def _error_of(task: asyncio.Task[None]) -> BaseException:
    return (None if task.cancelled() else task.exception()) or ConnectionEnded()
