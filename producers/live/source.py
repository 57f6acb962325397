"""A venue's sockets and its answers over REST as one source of frames, in the order in which they came."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from typing import Any

import structlog
from aiolimiter import AsyncLimiter

from obflow.clock import Clock
from producers.books.carriers import carrier_of
from producers.contract import Channel, Exchange, Login, Say
from producers.live.alternatives import Alternatives
from producers.live.connections import Connection
from producers.live.gate import HostGate
from producers.live.quality import Reopenings
from producers.live.subscription_parts import fitting, split
from producers.live.tries import HostTries
from producers.live.venue_socket import NO_HEADERS
from producers.live.waiting_line import WaitingLine
from producers.messages import BESIDE_BOOKS, Frame, VenueNotice, Via
from schemas.units import NS_PER_MS

HANDED_OVER = 2
"""Connections that are handed over at a time: the others wait for their turn, so that not all come twice at once."""
WAITING_FRAMES = 256
"""Frames between the sockets and whoever handles them; beyond it the sockets wait."""
LIVED = 0.95
"""Share of the venue's lifetime that a connection is kept."""
SPREAD = 0.5
"""Of that, so much lies between the first and the last of many connections: they are not replaced all at once."""

_Arrival = tuple[Via, str, str, bytes, asyncio.Future[Sequence[VenueNotice]] | None]

log = structlog.get_logger(__name__)


class VenueSource:
    """The connections that carry instruments of a venue; see `producers.contract.LiveFrameSource`.

    Args:
        exchange: The venue.
        symbols: The instruments.
        url: The venue's WebSocket address, without a path.
        clock: When things are received.
        max_bytes: Largest frame that is received.
        on_oversized: Is told of a larger one, and over which connection it came.
        gate: Who may ask the venue anything; by default its own.
        comes_over: Whether everything that a connection carries comes over a successor, by its name.
        on_refused: Is told of an instrument whose subscription the venue refuses, and why.
        on_away: Is told of an instrument why no connection carries its book for some time.
        headers: Sent with each handshake.
        login: How each connection makes itself known; None where it need not.
        with_derivatives: Whether what the venue tells of derivatives is subscribed too, over connections of its own.
        on_derivatives_refused: As `on_refused`, of that.

    Attributes:
        connections: By name; not yet opened.
    """

    def __init__(
        self,
        exchange: Exchange,
        symbols: Sequence[str],
        url: str,
        *,
        clock: Clock,
        max_bytes: int,
        on_oversized: Callable[[str], None],
        gate: HostGate | None = None,
        comes_over: Callable[[str], bool] = lambda _: True,
        on_refused: Callable[[str, str], None] = lambda *_: None,
        on_away: Callable[[str, str], None] = lambda *_: None,
        headers: Mapping[str, str] = NO_HEADERS,
        login: Login | None = None,
        with_derivatives: bool = False,
        on_derivatives_refused: Callable[[str, str], None] = lambda *_: None,
    ) -> None:
        self._clock = clock
        self._told: Sequence[VenueNotice] = ()
        self._line = WaitingLine[_Arrival](WAITING_FRAMES)
        self._carrier: dict[str, Connection] = {}
        self.connections: dict[str, Connection] = {}
        self.tasks: list[asyncio.Task[None]] = []
        self._spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]] | None = None
        self._alternatives = Alternatives(exchange, lambda *one: self._opened(self._connect(*one)))
        self._again: dict[str, Connection] = {}
        self._run, self._limits = f"{clock.now_ns() // NS_PER_MS:x}", exchange.limits
        self._gate, self._turns = gate or HostGate(self._limits), asyncio.Semaphore(HANDED_OVER)
        self._tries = HostTries()
        self._connects = AsyncLimiter(self._limits.connects.times, self._limits.connects.seconds)
        self._exchange, self._login, self._max_bytes = exchange, login, max_bytes
        self._url, self._headers = url.rstrip("/"), headers
        self._on_oversized, self._on_refused, self._comes_over = on_oversized, on_refused, comes_over
        self._on_away = on_away
        groups = _groups(exchange, symbols)
        self._planned = len(groups)
        for path, carried in groups:
            connection = self._connect(path, carried)
            self._carrier.update(dict.fromkeys(carried, connection))
        self._beside: dict[str, Connection] = {}
        self._derivatives = exchange.derivatives if with_derivatives else None
        self._on_derivatives_refused = on_derivatives_refused
        for path, carried in _groups(self._derivatives, symbols) if self._derivatives else ():
            self._beside.update(dict.fromkeys(carried, self._open(self._derivatives, path, carried)))

    def _connect(
        self,
        path: str,
        carried: Sequence[str],
        subscribe: Callable[[Sequence[str]], list[Say]] | None = None,
        *,
        of: Exchange | None = None,
        refused: Callable[[str, str], None] = lambda *_: None,
    ) -> Connection:
        """Make a connection: of books, or with `subscribe` or `of` one beside them."""
        number, is_of_books = len(self.connections), subscribe is None and of is None
        connection = Connection(
            f"{self._run}-{number + 1}" + ("" if is_of_books else BESIDE_BOOKS),
            of or self._exchange,
            self._url + path,
            carried,
            enqueue=self.enqueue,
            on_oversized=self._on_oversized,
            max_bytes=self._max_bytes,
            connects=self._connects,
            path=path,
            life_s=self._limits.lifetime_s * LIVED * max(SPREAD, 1 - SPREAD * number / max(1, self._planned)),
            gate=self._gate,
            tries=self._tries,
            turns=self._turns,
            comes_over=self._comes_over if is_of_books else lambda _: True,
            subscribe=subscribe,
            on_refused=self._on_refused if is_of_books else refused,
            on_away=self._on_away if is_of_books else lambda *_: None,
            headers=self._headers,
            login=self._login,
        )
        self.connections[connection.name] = connection
        return connection

    @property
    def book_connections(self) -> tuple[Connection, ...]:
        """Those that carry books."""
        return tuple(dict.fromkeys(self._carrier.values()))

    @property
    def trouble(self) -> str:
        """How many of its connections have no socket now, as a sentence; empty where all have one."""
        lost = sum(bool(one.symbols) and not one.is_connected for one in self.connections.values())
        return f"{lost} of {len(self.connections)} connections to {self._exchange.venue} are lost" if lost else ""

    def readdress(self, url: str, headers: Mapping[str, str]) -> None:
        """Open connections there and so from now on; those that stand go on until they are replaced."""
        self._url, self._headers = url.rstrip("/"), headers
        for connection in self.connections.values():
            connection.url, connection.headers = self._url + connection.path, headers

    def start(self, spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]) -> None:
        """Open all connections, and those that are needed later, each in a task of its own."""
        self._spawn = spawn
        self.tasks += [spawn(connection.run()) for connection in self.connections.values()]

    def _open(self, exchange: Exchange | None, path: str, symbols: Sequence[str]) -> Connection:
        """Make a connection of books, or of what is told beside them, not yet opened."""
        if exchange is self._exchange:
            return self._connect(path, symbols)
        return self._connect(path, symbols, of=exchange, refused=self._on_derivatives_refused)

    def subscribe_instead(self, channel: Channel, symbol: str) -> bool:
        """Subscribe to what the venue documents in place of a silent channel; False where it has nothing."""
        return self._spawn is not None and self._alternatives.subscribe(channel, symbol)

    async def frames(self) -> AsyncIterator[Frame]:
        """Give the frames as they come, without end; a frame is received when it is given."""
        line = self._line
        while True:
            via, connection, request, raw, handled = await line.get() if line.is_empty else line.take()
            self._told = ()
            yield Frame(self._clock.now_ns(), via, connection, request, raw)
            if handled is not None and not handled.done():
                handled.set_result(self._told)

    async def enqueue(self, via: Via, connection: str, raw: bytes = b"") -> None:
        """Append what came over a connection, once there is room."""
        await self._line.put((via, connection, "", raw, None))

    async def answer(self, symbol: str, request: str, body: bytes) -> Sequence[VenueNotice]:
        """Append the answer to a request on behalf of an instrument; gives, once handled, what it told besides data."""
        handled: asyncio.Future[Sequence[VenueNotice]] = asyncio.get_running_loop().create_future()
        await self._line.put((Via.REST, self._carrier[symbol].name, request, body, handled))
        return await handled

    def handle(self, frame: Frame, notices: Sequence[VenueNotice]) -> None:
        """Let the connection of a frame know what it told besides data."""
        if frame.via is Via.WS:
            self.connections[carrier_of(frame.connection)].handle(notices, frame.connection)
        else:
            self._told = notices
            log.warning("answer_without_data", request=frame.request, told=str(notices[0])[:200])

    def carries(self, symbol: str) -> bool:
        """Tell whether a connection carries an instrument's book, or is to."""
        return symbol in self._carrier

    def reopenings(self, symbol: str) -> Reopenings:
        """What came of tries to have the connection back that carries an instrument's book, from the start on."""
        carrier = self._carrier.get(symbol)
        return Reopenings() if carrier is None else carrier.attempts.reopenings

    def say(self, symbol: str, says: Sequence[Say]) -> None:
        """Say something on the connection that carries an instrument."""
        self._carrier[symbol].say(says)

    def reconnect(self, symbol: str) -> None:
        """Open the connection that carries an instrument anew."""
        self._carrier[symbol].reconnect()

    def hand_over(self, symbols: Iterable[str]) -> None:
        """Let successors take over the connections that carry these instruments."""
        for connection in dict.fromkeys(self._carrier[symbol] for symbol in symbols if symbol in self._carrier):
            connection.hand_over()

    def unsubscribe(self, symbol: str) -> None:
        """Carry an instrument no longer."""
        for carriers in (self._carrier, self._beside):
            if symbol in carriers:
                carriers.pop(symbol).unsubscribe([symbol])
        for connection in self._alternatives.connections:
            connection.unsubscribe([symbol])

    def add(self, symbols: Sequence[str]) -> list[tuple[Connection, Sequence[str]]]:
        """Carry instruments more, over connections with room, or new ones; gives what each of books carries."""
        added = []
        for path, carried in _groups(self._exchange, symbols):
            for connection, part in self._place(self._exchange, path, carried, self._made_for(self._exchange)):
                self._carrier.update(dict.fromkeys(part, connection))
                added.append((connection, part))
        if self._derivatives is not None:
            for path, carried in _groups(self._derivatives, symbols):
                for connection, part in self._place(
                    self._derivatives, path, carried, self._made_for(self._derivatives)
                ):
                    self._beside.update(dict.fromkeys(part, connection))
        return added

    def _made_for(self, exchange: Exchange) -> list[Connection]:
        """Connections of books, or of what is told beside them; also those that carry nothing any more."""
        instead = self._alternatives.connections
        return [one for one in self.connections.values() if one.exchange is exchange and one not in instead]

    def ask_again(self, symbols: Sequence[str]) -> list[tuple[Connection, Sequence[str]]]:
        """Subscribe to those of these that the venue refused, apart from all others; gives what each carries."""
        refused = [one for one in symbols if one in self._carrier and one not in self._carrier[one].symbols]
        asked = []
        for path, carried in _groups(self._exchange, refused):
            known = [one for one in self._again.values() if not one.symbols]  # where another came, it is left in peace
            for connection, part in self._place(self._exchange, path, carried, known):
                self._again[path] = connection
                self._carrier.update(dict.fromkeys(part, connection))
                asked.append((connection, part))
        return asked

    def _place(
        self, exchange: Exchange, path: str, symbols: Sequence[str], known: Sequence[Connection]
    ) -> Iterator[tuple[Connection, Sequence[str]]]:
        """Give instruments of one path to connections that have room, and the rest to a new one."""
        each = fitting(exchange, symbols, exchange.limits.streams_per_connection)
        for connection in known:
            room = each - len(connection.symbols)
            if symbols and connection.path == path and room > 0:
                part, symbols = symbols[:room], symbols[room:]
                connection.add(part)
                yield connection, part
        if symbols:
            yield self._opened(self._open(exchange, path, symbols)), symbols

    def _opened(self, connection: Connection) -> Connection:
        """Open a connection, where the others are open: else it is opened with them."""
        if self._spawn is not None:
            self.tasks.append(self._spawn(connection.run()))
        return connection


def _groups(exchange: Exchange, symbols: Sequence[str]) -> list[tuple[str, Sequence[str]]]:
    """Tell what each connection carries: its path and its instruments, within the venue's limit of streams."""
    on_path: dict[str, list[str]] = {}
    for symbol in filter(exchange.streams, symbols):
        on_path.setdefault(exchange.websocket_path(symbol), []).append(symbol)
    most = exchange.limits.streams_per_connection
    return [(path, part) for path, carried in on_path.items() for part in split(exchange, carried, most)]
