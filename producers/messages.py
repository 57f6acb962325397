"""What a frame says, in the venue's own words: numbers still text, sequences still the venue's.

An adapter's whole output. `producers/books/stream.py` takes these onto the grid, each to its place.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Final, NamedTuple

import msgspec

from orderbook.decimals import Levels
from schemas.messages import ContractKind, Coverage, SequenceSource


class Via(StrEnum):
    """How a frame, or a change of the connection, arrived; the word of a recording's line."""

    WS = "ws"
    REST = "rest"
    CONNECT = "connect"
    DISCONNECT = "disconnect"
    KNOWN = "known"
    """Not the venue's: what was published before this run (`books.seen_trades`); its records follow from that, too."""


BESIDE_BOOKS: Final = "+"
"""Ends the name of a connection that carries what is told beside books, and no book."""


class Frame(NamedTuple):
    """What came at one moment: a frame as received, an answer over REST, or a change of a connection.

    Attributes:
        received_ns: When, ns UTC by our clock.
        via: How.
        connection: The connection; for an answer over REST the one that carries its instrument. Empty where unknown.
        request: Path and query that a `REST` frame answers, where known.
        raw: The bytes as received; empty for a change of a connection.
    """

    received_ns: int
    via: Via
    connection: str = ""
    request: str = ""
    raw: bytes = b""


UNNUMBERED: Final = -1
"""The sequence of an update whose source has none: they are counted as they arrive (`producers.books.arrivals`)."""


class DepthDelta(msgspec.Struct, frozen=True, gc=False):
    """One change of a book: absolute sizes, 0 removes.

    Attributes:
        symbol: The venue's own symbol.
        first_sequence, last_sequence: Ids of the first and last change in it, first <= last.
        bids, asks: Levels as the venue wrote them.
        previous_sequence: Id it says it follows; null where the venue does not say.
        exchange_ns: The venue's time, ns UTC.
        checksum: Of the book after it; null where the venue gives none.
    """

    symbol: str
    first_sequence: int
    last_sequence: int
    bids: Levels
    asks: Levels
    previous_sequence: int | None = None
    exchange_ns: int | None = None
    checksum: int | None = None


class LevelForm(IntEnum):
    """How a venue writes a level."""

    PAIRS = 0
    """`["price", "size"]`."""
    FOURS = 1
    """`["price", "size", "digits", "digits"]`, of which the last two say nothing of the book."""
    ACTIONS = 2
    """`["new", price, size]` of JSON numbers; also `change`, and `delete`, whose size is 0."""


class SnapshotOrigin(StrEnum):
    """How a whole book came."""

    FETCHED = "fetched"
    """Asked for beside the stream: an update has to bridge it before it may be believed."""
    IN_STREAM = "in_stream"
    """In the stream, in order with the updates: it replaces the book at any time."""


class DepthSnapshot(msgspec.Struct, frozen=True, gc=False):
    """A whole book as the venue gave it.

    Attributes:
        symbol: The venue's own symbol; null where the answer does not say and the request is unknown.
        sequence: Id of the last change in it.
        bids, asks: Levels as the venue wrote them.
        exchange_ns: The venue's time, ns UTC; null where it gives none.
        origin: How it came.
        checksum: Of the book; null where the venue gives none.
        coverage: How far the venue shows its book.
        sequence_source: Whose numbers it and the updates after it have.
    """

    symbol: str | None
    sequence: int
    bids: Levels
    asks: Levels
    exchange_ns: int | None = None
    origin: SnapshotOrigin = SnapshotOrigin.FETCHED
    checksum: int | None = None
    coverage: Coverage = Coverage.WHOLE
    sequence_source: SequenceSource = SequenceSource.VENUE


class TradeTick(msgspec.Struct, frozen=True, gc=False):
    """One public trade; price and size as the venue wrote them.

    `stands_in` names the channel where that is not the one of trades: then it counts only while that one is silent.
    """

    symbol: str
    trade_id: str
    price: str
    size: str
    buyer_is_aggressor: bool
    exchange_ns: int | None = None
    stands_in: str = ""


class BestQuote(msgspec.Struct, frozen=True, gc=False):
    """The venue's own best bid and ask: a check of the book, never its source.

    `sequence` is on the book's scale; null where the venue's number is not. `is_sampled` says that the venue sends what
    it is at intervals: what came and went between two is not seen, so it tells nothing of order flow, and of a book no
    more than its best prices. `number` is the venue's own where that is not on the book's scale: where such quotes are
    all there is of an instrument, they are its book, of one level a side.
    """

    symbol: str
    bid: str
    bid_size: str
    ask: str
    ask_size: str
    sequence: int | None = None
    is_sampled: bool = False
    number: int | None = None


class DerivativeTick(msgspec.Struct, frozen=True, gc=False):
    """What a message tells of a derivative besides its book; numbers as the venue wrote them, null where it tells none.

    Attributes:
        symbol: The venue's own symbol.
        exchange_ns: The venue's time, ns UTC.
        funding_rate: A share of the notional at the next funding; longs pay where it is positive.
        next_funding_ns: When that is, ns UTC.
        funding_interval_s: Time between two fundings, seconds.
        mark_price, index_price: In the quote currency.
        open_interest: In the unit of the book's sizes.
    """

    symbol: str
    exchange_ns: int | None = None
    funding_rate: str | None = None
    next_funding_ns: int | None = None
    funding_interval_s: int | None = None
    mark_price: str | None = None
    index_price: str | None = None
    open_interest: str | None = None

    @property
    def tells_nothing(self) -> bool:
        """Whether it holds no value at all, as a change of a ticker often does."""
        rate_and_prices = (self.funding_rate, self.mark_price, self.index_price, self.open_interest)
        return rate_and_prices == (None,) * 4 and self.next_funding_ns is None and self.funding_interval_s is None


class Instrument(NamedTuple):
    """One instrument of one venue.

    Attributes:
        venue: Exchange id.
        symbol: The venue's own symbol.
        tick_size, lot_size: The grid, decimal strings without trailing zeros.
        canonical: Name shared by venues (`BTC-USDT-PERP`: base, quote, kind); empty where no instrument list told.
        contract_value: Amount of one contract, decimal string; "1" where sizes are in base units.
        contract_kind: How a size becomes a notional.
        trading_status: What the list says of it where that is not that it trades: the venue's own word (`BREAK`).
        is_delisted: Whether that word means that it will not trade again.
    """

    venue: str
    symbol: str
    tick_size: str
    lot_size: str
    canonical: str = ""
    contract_value: str = "1"
    contract_kind: ContractKind = ContractKind.SPOT
    trading_status: str = ""
    is_delisted: bool = False


class InstrumentList(msgspec.Struct, frozen=True, gc=False):
    """What the venue trades.

    Attributes:
        instruments: With their grids.
        unreadable: Names of entries that gave no usable grid; empty where not even a name could be read.
        weight_per_minute: Request weight the venue says it allows, unchecked; null where it does not say.
        more: Path and query of the next page; empty where this is the last one.
    """

    instruments: tuple[Instrument, ...]
    unreadable: tuple[str, ...] = ()
    weight_per_minute: int | None = None
    more: str = ""


class Ack(msgspec.Struct, frozen=True, gc=False):
    """The venue accepted what was said: `key` is one of a `Say.acknowledged_by`."""

    key: str


class Reply(msgspec.Struct, frozen=True, gc=False):
    """What the venue wants to hear at once on the same connection: the answer to its heartbeat."""

    raw: bytes


class Interrupted(msgspec.Struct, frozen=True, gc=False):
    """Whoever passes the venue's data on lost its connection to the venue; what came meanwhile is missing.

    `symbols` are the instruments it carried; none means all of the connection that tells it.
    """

    symbols: tuple[str, ...] = ()


class NoticeKind(StrEnum):
    """What a venue may tell besides data."""

    SERVER_SHUTDOWN = "server_shutdown"
    REFUSED = "refused"
    TOO_MANY = "too_many_requests"
    """Refused for how often this address asks, whatever it asked: it is to wait."""
    UNAVAILABLE = "unavailable"
    """The venue is not itself, and wants to be asked again later: nothing is said against what was asked."""
    UNREADABLE = "unreadable"
    """An answer of which nothing could be used; what of it is counted and kept is said elsewhere."""


class Notice(msgspec.Struct, frozen=True, gc=False):
    """Something the edge should know: a disconnect to come, a request refused.

    `symbol` names the instrument that was refused, where the venue says so: the others do not suffer for it.
    """

    kind: NoticeKind
    detail: str = ""
    symbol: str = ""


class Ignored(msgspec.Struct, frozen=True, gc=False):
    """A message known and not needed; `kind` is the label it is counted by."""

    kind: str


VenueNotice = Ack | Reply | Notice | InstrumentList
"""What a venue tells besides data."""

VenueMessage = DepthDelta | DepthSnapshot | TradeTick | BestQuote | DerivativeTick | Interrupted | Ignored | VenueNotice
