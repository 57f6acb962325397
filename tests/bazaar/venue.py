"""The adapter of a made-up venue, the Bazaar, whose ways are those of venues that are not Binance.

| message | what becomes of it |
|---|---|
| `{"at":ms,"books":[{s,whole,n,after,bids,asks,sum}],"trades":[…],"best":[…]}` | any number of instruments' messages |
| a book with `whole` | `DepthSnapshot`, in the stream: it replaces the book at any time |
| a book without | `DepthDelta`, connected by `after` = the `n` before it |
| `{"done":key}` | `Ack`, one an instrument |
| `{"no":key,"why":text}` | `Notice`: refused |
| `{"beat":n}` | `Reply`: the venue wants `{"do":"alive","n":n}` at once |
| the text `pong` | the answer to our `ping` |
| REST `/markets` | `InstrumentList` |

A lost book is had again by unwatching and watching the instrument. `sum` is the CRC-32 of the best five levels a side.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeVar
from zlib import crc32

import msgspec

from orderbook.decimals import Levels, plain
from producers.contract import Alternative, Channel, Checksum, Endpoints, Fetch, Keepalive, Rate, Say, VenueLimits
from producers.messages import (
    Ack,
    BestQuote,
    DepthDelta,
    DepthSnapshot,
    Frame,
    Ignored,
    Instrument,
    InstrumentList,
    Notice,
    NoticeKind,
    Reply,
    SnapshotOrigin,
    TradeTick,
    VenueMessage,
    Via,
)
from producers.sequencing import Alignment, Continuity, LastUpdate, SequencedUpdate, is_repeat
from producers.shapes import FrameShapes
from schemas.errors import DecodeError, UnknownMessage
from schemas.messages import ContractKind

NS_PER_MS = 1_000_000
SUMMED_LEVELS = 5


T = TypeVar("T")


class _Book(msgspec.Struct):
    s: str
    n: int
    after: int
    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]
    sum: int
    whole: bool = False


class _Trade(msgspec.Struct):
    s: str
    id: str
    price: str
    size: str
    taker: Literal["buy", "sell"]


class _Best(msgspec.Struct):
    s: str
    n: int
    bid: tuple[str, str]
    ask: tuple[str, str]


class _Message(msgspec.Struct, forbid_unknown_fields=True):
    at: int = -1
    books: list[_Book] = []
    trades: list[_Trade] = []
    best: list[_Best] = []
    done: str = ""
    no: str = ""
    why: str = ""
    beat: int = -1


class _Market(msgspec.Struct):
    s: str
    base: str
    quote: str
    tick: str
    lot: str


class _Markets(msgspec.Struct):
    markets: list[_Market]


_MESSAGE = msgspec.json.Decoder(_Message)
_MARKETS = msgspec.json.Decoder(_Markets)


class ChainRule:
    """Each update names the one before it; a whole book comes in the stream, so none is ever aligned."""

    def align(self, delta: DepthDelta, snapshot_sequence: int) -> Alignment:
        return Alignment.TOO_LATE

    def follow(self, delta: SequencedUpdate, last: LastUpdate) -> Continuity:
        if delta.previous_sequence == last.sequence:
            return Continuity.NEXT
        return Continuity.DUPLICATE if is_repeat(delta, last) else Continuity.GAP


def summed(bids: Levels, asks: Levels) -> int:
    """The venue's checksum."""
    return crc32("|".join(f"{price}:{size}" for price, size in (*bids, *asks)).encode())


class Bazaar:
    """The venue; see `producers.contract.Exchange`."""

    venue = "bazaar"
    shares_update_ids = False
    deltas = None
    sequence = ChainRule()
    shapes = FrameShapes("books", ".", 0, "done", "at", {})
    checksum = Checksum(SUMMED_LEVELS, summed)
    endpoints = Endpoints(websocket="wss://feed.bazaar.example", rest="https://bazaar.example")
    limits = VenueLimits(
        streams_per_connection=12,
        streams_per_message=6,
        client_messages=Rate(50, 1),
        connects=Rate(300, 300),
        lifetime_s=3600,
        weight_per_minute=600,
    )
    keepalive = Keepalive(begin=(Say(b'{"do":"beat","key":"beat"}', ("beat",)),), message=b"ping", every_s=0.2)

    derivatives = None

    def contract_kind(self, symbol: str) -> ContractKind:
        return ContractKind.SPOT

    def websocket_path(self, symbol: str) -> str:
        return "/feed"

    def parse(self, frame: Frame) -> list[VenueMessage]:
        if frame.via is Via.REST:
            return [_listed(frame.raw)]
        if frame.raw == b"pong":
            return [Ignored("pong")]
        message = _decoded(_MESSAGE, frame.raw)
        if message.done:
            return [Ack(message.done)]
        if message.no:
            return [Notice(NoticeKind.REFUSED, message.why)]
        if message.beat >= 0:
            return [Reply(b'{"do":"alive","n":%d}' % message.beat)]
        if message.at < 0:
            raise UnknownMessage("nothing the Bazaar says")
        return _data(message, message.at * NS_PER_MS)

    def streams(self, symbol: str) -> tuple[str, ...]:
        return (f"book:{symbol}", f"tape:{symbol}", f"best:{symbol}")

    def subscribe(self, symbols: Sequence[str]) -> list[Say]:
        return [self._say("watch", symbols)]

    def alternative(self, channel: Channel, symbols: Sequence[str]) -> Alternative | None:
        return None

    def unsubscribe(self, symbols: Sequence[str]) -> list[Say]:
        return [self._say("unwatch", symbols)]

    def recover(self, symbol: str, failed: int = 0) -> list[Say]:
        return [*self.unsubscribe([symbol]), *self.subscribe([symbol])]

    def poll(self, symbol: str) -> None:
        """Name nothing: it trades no derivatives."""
        del symbol

    def listings(self, symbols: Sequence[str] = ()) -> list[Fetch]:
        return [Fetch("/markets?part=1"), Fetch("/markets?part=2")]

    def _say(self, what: str, symbols: Sequence[str]) -> Say:
        names = [name for symbol in symbols for name in self.streams(symbol)]
        keys = tuple(f"{what}:{symbol}" for symbol in symbols)
        return Say(msgspec.json.encode({"do": what, "what": names}), keys)


BAZAAR = Bazaar()


def _data(message: _Message, at_ns: int) -> list[VenueMessage]:
    for book in message.books:
        if not 0 <= book.after <= book.n < 2**63:
            raise DecodeError("ids that make no sense", channel=Channel.DEPTH, symbol=book.s)
    return [
        *(_book(book, at_ns) for book in message.books),
        *(TradeTick(t.s, t.id, t.price, t.size, t.taker == "buy", at_ns) for t in message.trades),
        *(BestQuote(b.s, *b.bid, *b.ask, b.n) for b in message.best),
    ]


def _book(book: _Book, at_ns: int) -> DepthDelta | DepthSnapshot:
    if book.whole:
        return DepthSnapshot(book.s, book.n, book.bids, book.asks, at_ns, SnapshotOrigin.IN_STREAM, book.sum)
    return DepthDelta(book.s, book.n, book.n, book.bids, book.asks, book.after, at_ns, book.sum)


def _listed(body: bytes) -> InstrumentList:
    markets = _decoded(_MARKETS, body).markets
    return InstrumentList(
        tuple(
            Instrument("bazaar", market.s, plain(market.tick), plain(market.lot), f"{market.base}-{market.quote}-SPOT")
            for market in markets
        )
    )


def _decoded(decoder: msgspec.json.Decoder[T], raw: bytes) -> T:
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DecodeError(f"not what the Bazaar says: {error}") from None
