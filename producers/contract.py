"""What a venue is: bytes in, messages out, and what has to be said to it. No socket, no clock.

To add a venue, write `producers/exchanges/<family>/<venue>.py` with one object that satisfies `Exchange`, add its line
to `EXCHANGES` and a fixture folder; the contract suite then runs over it.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol

from producers.messages import VenueMessage, Via
from producers.sequencing import SequenceRule
from schemas.errors import MessageError
from schemas.messages import ContractKind

MAX_FRAME_BYTES = 16 * 1024 * 1024
"""Default bound of a frame; a larger one is refused before it is parsed."""


class RestRequest(NamedTuple):
    """A GET: path and query, and what it costs of `Limits.weight_per_minute`."""

    path: str
    weight: int


class Endpoints(NamedTuple):
    """The venue's own addresses; a simulator's take their place."""

    websocket: str
    rest: str


class PingRule(NamedTuple):
    """Who keeps the connection alive.

    Attributes:
        server_every_s: The venue sends WebSocket pings this often; any WebSocket library answers them.
        answer_within_s: It disconnects where no pong came for so long.
        message: What the client has to send; empty where nothing.
        every_s: How often it has to send it; 0 where nothing.
    """

    server_every_s: float
    answer_within_s: float
    message: bytes = b""
    every_s: float = 0.0


class Limits(NamedTuple):
    """The venue's limits, as data for the edges.

    Attributes:
        streams_per_connection: How many we subscribe on one connection (the venue may allow more).
        streams_per_message: How many one subscription message names.
        client_messages_per_s: Messages a client may send on one connection.
        connects_per_5_min: New connections of one address.
        connection_lifetime_s: The venue ends a connection after this.
        weight_per_minute: Request weight of one address.
        weight_header: Header that tells the weight used in the current minute.
    """

    streams_per_connection: int
    streams_per_message: int
    client_messages_per_s: int
    connects_per_5_min: int
    connection_lifetime_s: int
    weight_per_minute: int
    weight_header: str


class Exchange(Protocol):
    """A venue, whole. Every member is pure; one object serves any number of connections."""

    @property
    def venue(self) -> str:
        """Exchange id, lower case: the key in `EXCHANGES` and the first half of every Kafka key."""
        ...

    @property
    def contract_kind(self) -> ContractKind:
        """Kind of an instrument of which no instrument list tells more."""
        ...

    @property
    def sequence_rule(self) -> SequenceRule:
        """How this venue's updates connect."""
        ...

    @property
    def endpoints(self) -> Endpoints:
        """The venue's own addresses."""
        ...

    @property
    def limits(self) -> Limits:
        """The venue's limits."""
        ...

    @property
    def ping(self) -> PingRule:
        """Who keeps the connection alive."""
        ...

    @property
    def websocket_path(self) -> str:
        """Path and query to connect to; streams are then subscribed by message."""
        ...

    def parse(self, frame: bytes, via: Via, request: str = "") -> list[VenueMessage]:
        """The messages of one frame.

        Args:
            frame: The bytes as received.
            via: `WS` or `REST`.
            request: Path and query that a `REST` frame answers, where known.

        Raises:
            DecodeError: Not JSON, or not the shape of the message it says it is.
            UnknownMessage: No message this venue is known to send.
        """
        ...

    def streams(self, symbol: str) -> tuple[str, ...]:
        """Names of the streams of one instrument: depth, trades, best quotes."""
        ...

    def subscribe(self, symbols: Sequence[str], first_id: int) -> list[bytes]:
        """Messages that subscribe to these instruments; request ids count up from `first_id`."""
        ...

    def unsubscribe(self, symbols: Sequence[str], first_id: int) -> list[bytes]:
        """Messages that end these subscriptions."""
        ...

    def snapshot_request(self, symbol: str) -> RestRequest:
        """The request for a whole book."""
        ...

    def instruments_request(self, symbols: Sequence[str] = ()) -> RestRequest:
        """The request for the instrument list.

        Args:
            symbols: Only these, where the venue lets a list be asked for in part; a venue may refuse one that it does
                not trade. None is all of them.
        """
        ...


class Channel(StrEnum):
    """What a refused frame was part of; adapters name it, with the symbol, in the context of the error they raise."""

    DEPTH = "depth"
    SNAPSHOT = "snapshot"
    TRADE = "trade"
    QUOTE = "quote"
    INSTRUMENTS = "instruments"


def damaged_symbol(error: MessageError) -> str:
    """The instrument whose book lost an update with this frame; empty where none is known to have."""
    damages = error.context.get("channel") == Channel.DEPTH
    return str(error.context.get("symbol", "")) if damages else ""
