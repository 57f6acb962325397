"""What a venue is in the simulator: how its addresses, requests, answers and frames look. No socket, no clock.

To add a venue, write `venues/<venue>.py` with one object that satisfies `SimulatedVenue`, and add its line to
`SIMULATED`. Markets, books, faults, connections and recordings are the same for all. Nothing is shared with
`producers.exchanges`, on purpose: were both built on the same code, a mistake in it would agree with itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from producers.simulator.events import Damage, DepthUpdate, MarketEvent, StreamKind, Subscription
from producers.simulator.market_spec import MarketSpec
from producers.simulator.true_book import WholeBook
from schemas.units import NS_PER_MS


class RateLimit(NamedTuple):
    """So many within so many seconds."""

    most: int
    seconds: float


class SessionRules(NamedTuple):
    """How long a connection lives, and what keeps it alive. Seconds; 0 is never.

    Attributes:
        messages: Messages a client may send; more end the connection.
        ping_every_s: The venue sends a WebSocket ping this often, and ends a connection without a pong.
        silence_s: A connection whose client says nothing for so long is ended: it has to ping.
        heartbeat_every_s: The venue asks this often, by a message, whether the client is there.
        heartbeat_answer_s: A connection whose client does not answer that for so long is ended.
        lifetime_s: A connection is ended after this.
        notice_s: Its end is announced so long ahead.
    """

    messages: RateLimit
    ping_every_s: float = 0.0
    silence_s: float = 0.0
    heartbeat_every_s: float = 0.0
    heartbeat_answer_s: float = 0.0
    lifetime_s: float = 0.0
    notice_s: float = 0.0


class VenueRules(NamedTuple):
    """A venue's addresses and limits, as data.

    Attributes:
        websocket_paths: Where its WebSocket is.
        old_websocket_paths: Where it is too, as long as no other venue on the same port has these paths.
        rest_paths: What the paths of its REST requests begin with.
        session: How long connections live.
        weight: Request weight of all clients, counted anew after each of its spans.
        weight_header: Header that tells the weight used in the current span; empty where none does.
        odd_trade_every: One trade in so many is followed by a message that is none; 0 where none is.
        book_in_stream: Whether depth begins with the whole book when it is subscribed to.
        depth_levels: Levels a side that depth shows; 0 is all.
        summed_levels: Levels a side that its checksums cover; 0 where it makes none.
        derivative_streams: Streams on which it tells of derivatives, the first with all that has none of its own.
    """

    websocket_paths: tuple[str, ...]
    rest_paths: tuple[str, ...]
    session: SessionRules
    weight: RateLimit
    old_websocket_paths: tuple[str, ...] = ()
    weight_header: str = ""
    odd_trade_every: int = 0
    book_in_stream: bool = False
    depth_levels: int = 0
    summed_levels: int = 0
    derivative_streams: tuple[StreamKind, ...] = ()


class Form(NamedTuple):
    """How one connection has its frames written.

    Attributes:
        unit_ns: Nanoseconds in a unit of time.
        envelope: Whether frames come in an envelope that names their stream.
        speed: How often depth and trades come, where a client chose and it stands in their names.
        is_known: Whether the client has logged in.
    """

    unit_ns: int = NS_PER_MS
    envelope: bool = True
    speed: str = ""
    is_known: bool = False


class Opening(NamedTuple):
    """What a handshake asks for.

    Attributes:
        form: How frames are written.
        subscriptions: What is subscribed by it.
        carries: Streams that this address carries: others are acknowledged, and never heard.
    """

    form: Form = Form()
    subscriptions: tuple[Subscription, ...] = ()
    carries: frozenset[StreamKind] = frozenset(StreamKind)


class Reaction(NamedTuple):
    """What a client's message leads to.

    Attributes:
        texts: Answers; whole books of what is subscribed to follow them.
        unsubscribe: What the client does not listen to any more.
        subscribe: What it listens to from now on, or anew: depth then begins with a whole book again.
        answers_heartbeat: Whether it says that the client is there.
        heartbeat_every_s: How often the client wants to be asked from now on; None leaves it as it is.
        form: How its frames are written from now on; None leaves it as it is.
        lasts_s: The connection is ended after so long unless it is told anew; None leaves it as it is.
    """

    texts: tuple[str, ...] = ()
    unsubscribe: tuple[Subscription, ...] = ()
    subscribe: tuple[Subscription, ...] = ()
    answers_heartbeat: bool = False
    heartbeat_every_s: float | None = None
    form: Form | None = None
    lasts_s: float | None = None


class RestAnswer(NamedTuple):
    """An answer to a REST request.

    Attributes:
        status: Of HTTP.
        weight: What it cost of `VenueRules.weight`.
        body: JSON.
        counted_as: Under which name it is counted; one of few, whatever clients ask for.
        book: What an answer with a book shows.
    """

    status: int
    weight: int
    body: str
    counted_as: str = "requests_in_error"
    book: WholeBook | None = None


class Books(Protocol):
    """The markets an answer is about."""

    @property
    def specs(self) -> Mapping[str, MarketSpec]:
        """What is traded, by symbol."""
        ...

    @property
    def now_ns(self) -> int:
        """The venue's time, ns UTC."""
        ...

    def matched_ns(self, symbol: str) -> int:
        """When a book last changed, ns UTC."""
        ...

    def open_lots(self, symbol: str) -> int:
        """The open interest of a derivative, in lots."""
        ...

    def true_book(self, symbol: str, sequence: int | None = None, limit: int | None = None) -> WholeBook:
        """The book as it is, or was at an update id."""
        ...


class SimulatedVenue(Protocol):
    """A venue as the simulator plays it. Every member is pure; one object serves any number of exchanges."""

    @property
    def name(self) -> str:
        """Exchange id: the key in `SIMULATED`."""
        ...

    @property
    def rules(self) -> VenueRules:
        """Its addresses and limits."""
        ...

    @property
    def listed(self) -> tuple[str, ...]:
        """Symbols with a market of their own; any other in the venue's form has an invented one."""
        ...

    def market(self, symbol: str) -> MarketSpec:
        """The market behind a symbol.

        Raises:
            UsageError: It is not a symbol in the venue's form.
        """
        ...

    # -- what it says

    def encode(self, event: MarketEvent, form: Form) -> str:
        """The text of an event."""
        ...

    def heartbeat(self, now_ns: int) -> str:
        """The question whether the client is there."""
        ...

    def farewell(self, now_ns: int) -> str:
        """The announcement that the connection will end."""
        ...

    def answer(self, path: str, query: Mapping[str, str], books: Books) -> RestAnswer:
        """The answer to a GET."""
        ...

    def refusal(self, status: int) -> str:
        """The body of an answer that refuses: too many requests (418, 429), or the server's own fault (5xx)."""
        ...

    # -- what it hears

    def open(self, path: str, query: Mapping[str, str]) -> Opening:
        """What a handshake asks for; of the subscriptions, those of symbols that are traded count."""
        ...

    def receive(self, text: str, held: frozenset[Subscription], books: Books, form: Form) -> Reaction:
        """What a client's message leads to.

        Args:
            text: The message.
            held: What the client listens to.
            books: What is traded.
            form: How its frames are written.
        """
        ...

    # -- what a client that keeps to its rules says: recordings in virtual time are made with it

    @property
    def websocket_target(self) -> str:
        """Path and query of the handshake."""
        ...

    def subscriptions(self, symbols: Sequence[str]) -> list[str]:
        """Messages that subscribe to the book, the trades and the best quotes of these instruments."""
        ...

    @property
    def derivatives_target(self) -> str:
        """Path and query of the handshake for what is told of derivatives; empty where the venue has none."""
        ...

    def derivative_subscriptions(self, symbols: Sequence[str]) -> list[str]:
        """Messages that subscribe to what is told of these derivatives."""
        ...

    def listing_targets(self, symbols: Sequence[str]) -> list[str]:
        """Paths and queries of the requests for the instrument list."""
        ...

    def book_target(self, symbol: str) -> str:
        """Path and query of the request for a whole book; empty where books come in the stream."""
        ...

    def is_older(self, update: DepthUpdate, snapshot_id: int) -> bool:
        """Whether an update is in a snapshot already, by the venue's published rule."""
        ...


def encode_event(venue: SimulatedVenue, event: MarketEvent, form: Form | None = None) -> str:
    """Write an event as it is on the wire: half of it where it was cut."""
    text = venue.encode(event, form or Form())
    return text[: len(text) // 2] if event.damage is Damage.CUT else text
