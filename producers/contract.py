"""What a venue is: frames in, messages out, and what has to be said to it. No socket, no clock.

To add a venue, write `producers/exchanges/<family>/<venue>.py` with one object that satisfies `Exchange`, add its line
to `EXCHANGES` and a fixture folder; the contract suite then runs over it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol

from orderbook.decimals import Levels
from producers.messages import Frame, LevelForm, Notice, VenueMessage, VenueNotice
from producers.sequencing import SequenceRule
from producers.shapes import FrameShapes
from schemas.errors import MessageError
from schemas.messages import ContractKind

MAX_FRAME_BYTES = 16 * 1024 * 1024
"""Default bound of a frame; a larger one is refused before it is parsed."""


class FrameSource(Protocol):
    """Where frames come from, in the order in which they were received: a recording, or a venue in virtual time."""

    def frames(self) -> Iterator[Frame]:
        """Give the frames, once."""
        ...


class LiveFrameSource(Protocol):
    """The same where frames have to be waited for: the sockets of a venue, and its answers over REST among them."""

    def frames(self) -> AsyncIterator[Frame]:
        """Give the frames as they come, without end."""
        ...

    def handle(self, frame: Frame, notices: Sequence[VenueNotice]) -> None:
        """Do what a frame of it told besides data: acknowledgements to note, heartbeats to answer."""
        ...


class Say(NamedTuple):
    """A text message to send to the venue.

    Attributes:
        raw: The text.
        acknowledged_by: Keys of every `Ack` that must follow it; the connection is opened anew where one does not.
            Where some do and others do not, the instruments whose `Exchange.streams` end these keys are refused.
    """

    raw: bytes
    acknowledged_by: tuple[str, ...] = ()


class Fetch(NamedTuple):
    """A GET whose answer is parsed like any frame: path and query, and its cost in `VenueLimits.weight_per_minute`."""

    path: str
    weight: int = 1


class Endpoints(NamedTuple):
    """The venue's own addresses; a simulator's take their place."""

    websocket: str
    rest: str


class Keepalive(NamedTuple):
    """What the client does so that a connection lives. WebSocket pings are answered, and sent, by the library.

    Attributes:
        begin: Said first on each connection, such as the wish for the venue's heartbeats; `parse` then gives a `Reply`
            to each heartbeat that wants one.
        message: What the client has to send from time to time; empty where nothing.
        every_s: How often; 0 where nothing.
    """

    begin: tuple[Say, ...] = ()
    message: bytes = b""
    every_s: float = 0.0


class Granted(NamedTuple):
    """A login that a venue accepted.

    Attributes:
        seconds: How long it holds.
        renewal: What is said to renew it.
    """

    seconds: float
    renewal: bytes


class Login(Protocol):
    """How a connection makes itself known. What it says and hears is secret: nothing of it becomes a frame."""

    @property
    def begin(self) -> bytes:
        """What is said first on each connection."""
        ...

    @property
    def settings(self) -> str:
        """Where the credentials are set, for who reads that they are refused."""
        ...

    def read(self, raw: bytes) -> Granted | Notice | str | None:
        """Read a message: what was granted, why not now, or why it is refused; None where it is anything else."""
        ...


class Rate(NamedTuple):
    """So many times in so many seconds."""

    times: int
    seconds: float


class VenueLimits(NamedTuple):
    """The venue's limits, as data for the edges.

    Attributes:
        streams_per_connection: How many we subscribe on one connection (the venue may allow more).
        streams_per_message: How many one subscription message names.
        client_messages: Messages a client may send on one connection.
        connects: New connections of one address.
        lifetime_s: The venue ends a connection after this.
        weight_per_minute: Request weight of one address.
        weight_header: Header that tells the weight used in the current minute; empty where none does.
        pool: What the venues have in common that count one address together; empty where a venue counts alone.
        message_bytes: Length of a message that a client may send; 0 where none is known that matters.
        ban_s: How long an address is turned away (HTTP 403) that asked too often, where the answer does not say.
    """

    streams_per_connection: int
    streams_per_message: int
    client_messages: Rate
    connects: Rate
    lifetime_s: float
    weight_per_minute: int
    weight_header: str = ""
    pool: str = ""
    message_bytes: int = 0
    ban_s: float = 0.0


class Alternative(NamedTuple):
    """Another documented channel that brings what one should.

    Attributes:
        path: Path and query of the connection that carries it.
        says: What subscribes to it.
    """

    path: str
    says: list[Say]


class Checksum(NamedTuple):
    """How a venue sums up a book, so that a reader can compare it with his own.

    Attributes:
        levels: How many levels a side it covers.
        of: The sum of these bids and asks, best first, numbers without trailing zeros.
    """

    levels: int
    of: Callable[[Levels, Levels], int]


class DeltaForm(NamedTuple):
    """Where a venue's ordinary update of one book says what: places are keys and numbers in lists, joined by dots.

    Of several places the first that a frame has counts. All numbers are whole ones, or texts of digits.

    Attributes:
        levels: How its levels are written.
        bids, asks: Its levels.
        last: Its number.
        time: The venue's, ms. The others are times, too.
        first: The number of its first change, where it has one.
        previous: The number of the update before it, where it has one.
        checksum: Of the book; 0 is none.
        summed: Levels a side that it covers, where it is the CRC-32 of their text as a signed number of 32 bits: bids
            and asks in turns, best first, as long as a side has one, each `price:size` without trailing zeros, and all
            of them joined by colons; else 0.
        besides: Numbers of any value that change, and say nothing of the update.
        channel: The name of the channel that it came by.
    """

    levels: LevelForm
    bids: str
    asks: str
    last: tuple[str, ...]
    time: tuple[str, ...]
    first: tuple[str, ...] = ()
    previous: tuple[str, ...] = ()
    checksum: tuple[str, ...] = ()
    summed: int = 0
    besides: tuple[str, ...] = ()
    channel: str = ""


class FrameReader(Protocol):
    """What reads frames of a venue: all that books and recordings need. A venue does, and whoever speaks for one."""

    @property
    def venue(self) -> str:
        """Exchange id, lower case: the key in `EXCHANGES` and the first half of every Kafka key."""
        ...

    def contract_kind(self, symbol: str) -> ContractKind:
        """Tell the kind of an instrument from its name, where no instrument list tells more."""
        ...

    @property
    def sequence(self) -> SequenceRule:
        """How this venue's updates connect."""
        ...

    @property
    def checksum(self) -> Checksum | None:
        """How its checksums are made; None where it sends none."""
        ...

    @property
    def shares_update_ids(self) -> bool:
        """Whether an update has the same ids on every connection: then one replaces another without a hole."""
        ...

    @property
    def deltas(self) -> DeltaForm | None:
        """How its ordinary updates are read at speed; None where `parse` alone reads them."""
        ...

    def parse(self, frame: Frame) -> list[VenueMessage]:
        """Read the messages of one frame, `WS` or `REST`.

        Raises:
            DecodeError: Not JSON, or not the shape of the message it says it is.
            UnknownMessage: No message this venue is known to send.
        """
        ...


class Exchange(FrameReader, Protocol):
    """A venue, whole. Every member is pure; one object serves any number of connections."""

    @property
    def endpoints(self) -> Endpoints:
        """The venue's own addresses."""
        ...

    @property
    def limits(self) -> VenueLimits:
        """The venue's limits."""
        ...

    @property
    def keepalive(self) -> Keepalive:
        """What keeps a connection alive."""
        ...

    @property
    def shapes(self) -> FrameShapes:
        """What its data frames consist of, so that a change is noticed."""
        ...

    @property
    def derivatives(self) -> Exchange | None:
        """The same venue as it is asked for funding, mark prices and open interest; None where it has none.

        They come over connections of their own: its `streams`, `subscribe` and `websocket_path` name those channels
        alone, so that one of them that is refused, or lost, does no book any harm.
        """
        ...

    def websocket_path(self, symbol: str) -> str:
        """Give path and query of the connection that carries it; streams are then subscribed by message."""
        ...

    def streams(self, symbol: str) -> tuple[str, ...]:
        """Name the streams of one instrument: depth, trades, best quotes; empty where it has none of these."""
        ...

    def subscribe(self, symbols: Sequence[str]) -> list[Say]:
        """Say what subscribes to all streams of these instruments; the edge names no more than fit into a message."""
        ...

    def alternative(self, channel: Channel, symbols: Sequence[str]) -> Alternative | None:
        """Name another channel for one that is silent, where the venue documents one."""
        ...

    def unsubscribe(self, symbols: Sequence[str]) -> list[Say]:
        """Say what ends these subscriptions."""
        ...

    def recover(self, symbol: str, failed: int = 0) -> Fetch | list[Say]:
        """Tell how to come by a whole book: a GET, or what to say so that one comes in the stream.

        Nothing to say means that one comes with a new connection alone, which is opened in place of the old one.

        Args:
            symbol: The instrument.
            failed: How many attempts have come to nothing since its book was LIVE last; a venue with two ways takes the
                other one.
        """
        ...

    def poll(self, symbol: str) -> Fetch | None:
        """Name what is to be asked of a derivative from time to time, since no channel tells it; None: nothing."""
        ...

    def listings(self, symbols: Sequence[str] = ()) -> list[Fetch]:
        """Name everything to GET for the instrument list.

        Args:
            symbols: Only these, where the venue lets a list be asked for in part; a venue may refuse one that it does
                not trade. None is all of them. Further pages are named by the answers (`InstrumentList.more`).
        """
        ...


class Channel(StrEnum):
    """What a refused frame was part of; adapters name it, with the symbol, in the context of the error they raise."""

    DEPTH = "depth"
    SNAPSHOT = "snapshot"
    TRADE = "trade"
    QUOTE = "quote"
    DERIVATIVE = "derivative"
    INSTRUMENTS = "instruments"


def damaged_symbol(error: MessageError) -> str:
    """Name the instrument whose book lost an update with this frame; empty where none is known to have."""
    damages = error.context.get("channel") == Channel.DEPTH
    return str(error.context.get("symbol", "")) if damages else ""
