"""The normalised messages of tardis-machine, live or replayed: one JSON object each.

| type | what becomes of it |
|---|---|
| `book_change` | `DepthSnapshot` where isSnapshot, which replaces the book; else `DepthDelta`, 0 removes |
| `book_snapshot` | `DepthSnapshot`, known as far as its worst level, where no changes are read; `{}` is no level |
| `trade` | `TradeTick`; one whose side is `unknown` is counted apart |
| `book_ticker` | `BestQuote`, without a number: a sample |
| `disconnect` | `Interrupted` |
| `derivative_ticker` | `DerivativeTick`, merged by the machine from several channels; one without a value is counted |
| `error`, `liquidation`, `option_summary`, `trade_bar` | counted |

Numbers are JSON numbers, which the machine has as floats and writes in the fewest digits; they are read digit by digit.
Messages have no ids of updates (`producers.tardis.rules`). What the machine says where it fails in the middle of an
answer is an object without a type (`failure_in`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Final, Literal

import msgspec

from producers.contract import Channel, FrameReader
from producers.messages import (
    UNNUMBERED,
    BestQuote,
    DepthDelta,
    DepthSnapshot,
    DerivativeTick,
    Frame,
    Ignored,
    Interrupted,
    SnapshotOrigin,
    TradeTick,
    VenueMessage,
    Via,
)
from producers.tardis.decoding import UNREADABLE, decimal_text
from producers.tardis.rules import ArrivalRule
from producers.tardis.venues import COVERAGE
from schemas.bounds import INT64_MAX
from schemas.errors import DecodeError, UnknownMessage
from schemas.messages import ContractKind, Coverage
from schemas.units import NS_PER_SECOND

BOOKS: Final = ("book_change", "book_snapshot")
UNUSED: Final = frozenset({"error", "liquidation", "option_summary", "trade_bar"})
_TIME: Final = re.compile(
    r"(\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01]))T([01]\d|2[0-3]):([0-5]\d):([0-5]\d|60)(?:\.(\d{1,9}))?Z",
    re.ASCII,
)
_SECONDS_A_DAY: Final = 86_400


class MachineHead(msgspec.Struct, gc=False):
    """What each message says of itself; a failure has a `message` and no type."""

    type: str = ""
    exchange: str = ""
    symbol: str = ""
    localTimestamp: str = ""  # noqa: N815 - theirs
    message: str = ""


class _MachineLevel(msgspec.Struct, gc=False):
    price: Decimal | None = None
    amount: Decimal | None = None


class _MachineBook(msgspec.Struct, gc=False):
    symbol: str
    bids: list[_MachineLevel]
    asks: list[_MachineLevel]
    timestamp: str
    isSnapshot: bool = True  # noqa: N815 - theirs


class _MachineTrade(msgspec.Struct, gc=False):
    symbol: str
    price: Decimal
    amount: Decimal
    side: Literal["buy", "sell", "unknown"]
    timestamp: str
    id: str | int | None = None


class _MachineQuote(msgspec.Struct, gc=False):
    symbol: str
    bidPrice: Decimal | None = None  # noqa: N815 - theirs
    bidAmount: Decimal | None = None  # noqa: N815 - theirs
    askPrice: Decimal | None = None  # noqa: N815 - theirs
    askAmount: Decimal | None = None  # noqa: N815 - theirs


class _MachineTicker(msgspec.Struct, gc=False):
    symbol: str
    timestamp: str
    fundingRate: Decimal | None = None  # noqa: N815 - theirs
    fundingTimestamp: str | None = None  # noqa: N815 - theirs
    markPrice: Decimal | None = None  # noqa: N815 - theirs
    indexPrice: Decimal | None = None  # noqa: N815 - theirs
    openInterest: Decimal | None = None  # noqa: N815 - theirs


class _MachineDisconnect(msgspec.Struct, gc=False):
    symbols: tuple[str, ...] = ()


_HEAD = msgspec.json.Decoder(MachineHead)
_BOOK = msgspec.json.Decoder(_MachineBook)
_TRADE = msgspec.json.Decoder(_MachineTrade)
_QUOTE = msgspec.json.Decoder(_MachineQuote)
_TICKER = msgspec.json.Decoder(_MachineTicker)
_DISCONNECT = msgspec.json.Decoder(_MachineDisconnect)
CHANNELS: Final = {
    "book_change": Channel.DEPTH,
    "book_snapshot": Channel.DEPTH,
    "trade": Channel.TRADE,
    "book_ticker": Channel.QUOTE,
    "derivative_ticker": Channel.DERIVATIVE,
}
"""What a damaged message was part of."""


class MachineReader:
    """Reads normalised messages as frames of a venue, and its own answers; see `producers.contract.FrameReader`.

    Args:
        venue: The venue whose data they are.
        exchange: Its id at Tardis; messages of any other are counted.
        books: Which messages are the books; the other kind, a picture of the same book, is counted.
    """

    sequence = ArrivalRule()
    checksum = None
    shares_update_ids = False
    deltas = None

    def __init__(self, venue: FrameReader, exchange: str, books: str = "book_change") -> None:
        self.venue = venue.venue
        self._venue = venue
        self._exchange = exchange
        self._books = books

    def contract_kind(self, symbol: str) -> ContractKind:
        """Tell it from the name, as the venue does."""
        return self._venue.contract_kind(symbol)

    def parse(self, frame: Frame) -> list[VenueMessage]:
        """Read one message; over REST it is the venue itself that answered."""
        if frame.via is Via.REST:
            return self._venue.parse(frame)
        head = head_of(frame.raw)
        if head.exchange != self._exchange and head.type:
            return [Ignored("other_exchange")]
        try:
            return [self._read(head, frame.raw)]
        except (*UNREADABLE, DecodeError) as error:
            cause, where = f"not a {head.type}: {error}", {"channel": CHANNELS.get(head.type), "symbol": head.symbol}
            raise DecodeError(cause, **{name: value for name, value in where.items() if value}) from None

    def _read(self, head: MachineHead, raw: bytes) -> VenueMessage:
        if head.type in BOOKS and head.type != self._books:
            return Ignored(head.type)
        if head.type in BOOKS:
            return _book(_BOOK.decode(raw), self._coverage(head.type))
        if head.type == "trade":
            return _trade(_TRADE.decode(raw))
        if head.type == "book_ticker":
            return _quote(_QUOTE.decode(raw))
        if head.type == "derivative_ticker":
            return _derivative(_TICKER.decode(raw))
        if head.type == "disconnect":
            return Interrupted(_DISCONNECT.decode(raw).symbols)
        if head.type in UNUSED:
            return Ignored(head.type)
        raise UnknownMessage(f"no message is known by the type {head.type[:80]!r}")

    def _coverage(self, kind: str) -> Coverage:
        return Coverage.TOP_N if kind == "book_snapshot" else COVERAGE[self.venue]


def head_of(raw: bytes) -> MachineHead:
    """Read what each message says of itself.

    Raises:
        DecodeError: Not a JSON object.
    """
    try:
        return _HEAD.decode(raw)
    except UNREADABLE as error:
        raise DecodeError(f"not a message of tardis-machine: {error}") from None


def failure_in(raw: bytes) -> str:
    """Tell what a machine says that failed; empty where this is a message."""
    head = head_of(raw)
    return "" if head.type else head.message or raw[:200].decode(errors="replace")


def received_ns(raw: bytes) -> int:
    """Read when the vendor received what a message tells, ns UTC.

    Raises:
        DecodeError: It does not say.
    """
    return iso_ns(head_of(raw).localTimestamp)


def iso_ns(text: str) -> int:
    """Read a moment as the machine writes it, `2024-08-08T23:54:20.123456Z`, with up to nine decimals.

    Raises:
        DecodeError: It is none.
    """
    parts = _TIME.fullmatch(text)
    if parts is None:
        raise DecodeError(f"{text[:40]!r} is no moment")
    day, hour, minute, second, fraction = parts.groups("")
    seconds = _day_number(day) * _SECONDS_A_DAY + int(hour) * 3600 + int(minute) * 60 + int(second)
    moment_ns = seconds * NS_PER_SECOND + int(fraction.ljust(9, "0"))
    if not 0 <= moment_ns <= INT64_MAX:
        raise DecodeError(f"{text[:40]!r} is no moment from 1970 to 2262")
    return moment_ns


@lru_cache(maxsize=64)
def _day_number(day: str) -> int:
    """Count the days since 1970-01-01; years begin in March, so that a leap day is the last of one."""
    year, month, number = int(day[:4]), int(day[5:7]), int(day[8:])
    if month <= 2:
        year, month = year - 1, month + 12
    return 365 * year + year // 4 - year // 100 + year // 400 + (153 * (month - 3) + 2) // 5 + number - 719_469


def _book(book: _MachineBook, coverage: Coverage) -> VenueMessage:
    exchange_ns, bids, asks = iso_ns(book.timestamp), _levels(book.bids), _levels(book.asks)
    if book.isSnapshot:
        origin = SnapshotOrigin.IN_STREAM
        return DepthSnapshot(book.symbol, UNNUMBERED, bids, asks, exchange_ns, origin, coverage=coverage)
    return DepthDelta(book.symbol, UNNUMBERED, UNNUMBERED, bids, asks, exchange_ns=exchange_ns)


def _levels(levels: Sequence[_MachineLevel]) -> list[tuple[str, str]]:
    return [
        (decimal_text(level.price), decimal_text(level.amount))
        for level in levels
        if level.price is not None and level.amount is not None
    ]


def _trade(trade: _MachineTrade) -> VenueMessage:
    if trade.side == "unknown":
        return Ignored("trade_without_side")
    number = "" if trade.id is None else str(trade.id)
    price, amount, is_buy = decimal_text(trade.price), decimal_text(trade.amount), trade.side == "buy"
    return TradeTick(trade.symbol, number, price, amount, is_buy, iso_ns(trade.timestamp))


def _quote(quote: _MachineQuote) -> VenueMessage:
    """Read a best quote; a side without a price has no orders. A price whose size is not known checks nothing."""
    sides = ((quote.bidPrice, quote.bidAmount), (quote.askPrice, quote.askAmount))
    if any(price and size is None for price, size in sides):
        return Ignored("book_ticker_without_size")
    shown = ((price or Decimal(0), size if price and size else Decimal(0)) for price, size in sides)
    bid, bid_size, ask, ask_size = (decimal_text(number) for side in shown for number in side)
    return BestQuote(quote.symbol, bid, bid_size, ask, ask_size, is_sampled=True)


def _derivative(ticker: _MachineTicker) -> DerivativeTick | Ignored:
    numbers = (ticker.fundingRate, ticker.markPrice, ticker.indexPrice, ticker.openInterest)
    rate, mark, index, interest = (None if number is None else decimal_text(number) for number in numbers)
    tick = DerivativeTick(
        ticker.symbol,
        iso_ns(ticker.timestamp),
        funding_rate=rate,
        next_funding_ns=iso_ns(ticker.fundingTimestamp) if ticker.fundingTimestamp else None,
        mark_price=mark,
        index_price=index,
        open_interest=interest,
    )
    return Ignored("derivative_ticker") if tick.tells_nothing else tick
