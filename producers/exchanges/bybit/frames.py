"""The JSON that Bybit's venues share: shapes, field meanings, acknowledgements, instrument lists.

Unknown extra fields are ignored. Times are milliseconds: `cts` of the matching engine, `ts` of the push.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Annotated, Final, Literal, NamedTuple, TypeVar
from urllib.parse import quote
from zlib import crc32

import msgspec

from orderbook.decimals import Steps
from producers.contract import Channel, Say
from producers.messages import (
    Ack,
    BestQuote,
    DepthDelta,
    DepthSnapshot,
    DerivativeTick,
    Frame,
    Ignored,
    Instrument,
    InstrumentList,
    Notice,
    NoticeKind,
    SnapshotOrigin,
    TradeTick,
    VenueMessage,
    Via,
)
from schemas.errors import DecodeError, InvalidNumber, UnknownMessage
from schemas.messages import ContractKind, Coverage
from schemas.units import NS_PER_MS

Id = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
MAX_MS: Final = 9_223_372_036_854
Time = Annotated[int, msgspec.Meta(ge=0, le=MAX_MS)]
"""Milliseconds; the bound keeps nanoseconds within int64."""
MAX_TEXT: Final = 500
SECONDS_PER_HOUR: Final = 3600
RESTARTED: Final = 1
"""The `u` of a whole book after a restart of the service, whatever its type says."""

UNUSED_TOPICS: Final = frozenset(
    {
        "adl-notice",
        "adlAlert",
        "allLiquidation",
        "insurance",
        "kline",
        "kline_lt",
        "liquidation",
        "lt",
        "priceLimit",
        "tickers_lt",
    }
)
"""Topics that the venue documents and obflow does not use."""
TRADE_TOPICS: Final = frozenset({"publicTrade", "trade"})
"""`trade.{category}.{symbol}` was the name before v5 was final; its fields are the same."""
TICKERS: Final = "tickers"
_WHOLE = re.compile(r"[0-9]{1,13}")
ALREADY: Final = "error:already subscribed"
"""What it answers where a topic is subscribed: that is refused as a request, and what was wanted all the same."""
_REFUSED = re.compile(r"not found,topic:[A-Za-z0-9.]+\.([A-Za-z0-9-]{1,64})$")
"""How an error names the instrument that there is none of."""
TOO_MANY: Final = frozenset({10006, 10018, 10429, 20003})
"""Codes of an error that is about how often this address or session asks, with status 200."""
UNAVAILABLE: Final = frozenset({10000, 10016})
"""Codes of an error that is the venue's own: timed out, an internal error."""
_TOO_MANY = re.compile(r"too (?:many|frequent)|rate limit", re.IGNORECASE)
"""How an answer over WebSockets says so, which has no code."""
TRADING: Final = frozenset({"", "Trading"})
"""What the list says of an instrument that trades; others it documents are PreLaunch, Settling and Delivering."""
DELISTED: Final = frozenset({"Closed"})
"""What it says of one that will not trade again."""


class BybitHead(msgspec.Struct):
    """Enough of a frame to say what it is; `op` and what follows it are an answer's."""

    topic: str = ""
    op: str = ""
    success: bool | None = None
    ret_msg: str = ""
    req_id: str | None = None


class _BybitLevel(msgspec.Struct, array_like=True):
    """A level; whatever else it has is passed over."""

    price: str
    size: str


class BybitBook(msgspec.Struct):
    """The book in a message of depth."""

    s: str
    b: list[_BybitLevel]
    a: list[_BybitLevel]
    u: Id


class BybitDepth(msgspec.Struct):
    """A message of depth."""

    type: Literal["snapshot", "delta"]
    ts: Time
    data: BybitBook
    cts: Time | None = None


class _BybitTrade(msgspec.Struct):
    T: Time
    s: str
    S: Literal["Buy", "Sell"]
    v: str
    p: str
    i: str
    BT: bool = False


class _BybitTrades(msgspec.Struct):
    data: list[_BybitTrade]


class _BybitTicker(msgspec.Struct):
    """A ticker as far as it is of a derivative. A change holds what changed; an empty text is no value."""

    symbol: str = ""
    fundingRate: str = ""  # noqa: N815 (the venue's name)
    nextFundingTime: str = ""  # noqa: N815 (the venue's name)
    fundingIntervalHour: str = ""  # noqa: N815 (the venue's name)
    markPrice: str = ""  # noqa: N815 (the venue's name)
    indexPrice: str = ""  # noqa: N815 (the venue's name)
    openInterest: str = ""  # noqa: N815 (the venue's name)


class _BybitTickers(msgspec.Struct):
    ts: Time
    data: _BybitTicker


class _BybitRest(msgspec.Struct):
    """Any REST answer; a refusal has another code than 0."""

    retCode: int  # noqa: N815 (the venue's name)
    retMsg: str = ""  # noqa: N815 (the venue's name)
    result: msgspec.Raw = msgspec.Raw(b"{}")


class _BybitResult(msgspec.Struct):
    category: str = ""
    list: msgspec.Raw = msgspec.Raw(b"")
    nextPageCursor: str | None = None  # noqa: N815 (the venue's name)
    b: msgspec.Raw = msgspec.Raw(b"")


class _BybitPriceFilter(msgspec.Struct):
    tickSize: str  # noqa: N815 (the venue's name)


class _BybitLotFilter(msgspec.Struct):
    qtyStep: str = ""  # noqa: N815 (the venue's name)
    basePrecision: str = ""  # noqa: N815 (the venue's name)


class BybitInstrument(msgspec.Struct):
    """An entry of the instrument list; spot has neither a contract type nor a delivery."""

    symbol: str
    baseCoin: str  # noqa: N815 (the venue's name)
    quoteCoin: str  # noqa: N815 (the venue's name)
    priceFilter: _BybitPriceFilter  # noqa: N815 (the venue's name)
    lotSizeFilter: _BybitLotFilter  # noqa: N815 (the venue's name)
    status: str = ""
    contractType: str = ""  # noqa: N815 (the venue's name)
    deliveryTime: str = "0"  # noqa: N815 (the venue's name)


class _BybitNamed(msgspec.Struct):
    symbol: str = ""


class BybitDialect(NamedTuple):
    """Where the venues' words differ.

    Attributes:
        venue: Exchange id.
        kind: Kind of a listed instrument.
        canonical: Its canonical name.
    """

    venue: str
    kind: Callable[[BybitInstrument], ContractKind]
    canonical: Callable[[BybitInstrument], str]


_HEAD = msgspec.json.Decoder(BybitHead)
_DEPTH = msgspec.json.Decoder(BybitDepth)
_TRADES = msgspec.json.Decoder(_BybitTrades)
_TICKERS = msgspec.json.Decoder(_BybitTickers)
_REST = msgspec.json.Decoder(_BybitRest)
_RESULT = msgspec.json.Decoder(_BybitResult)
_ENTRIES = msgspec.json.Decoder(list[msgspec.Raw])
_LISTED = msgspec.json.Decoder(BybitInstrument)
_NAMED = msgspec.json.Decoder(_BybitNamed)

_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What the decoder raises for text that is not what it should be."""

D = TypeVar("D")


def parse(frame: Frame, dialect: BybitDialect) -> list[VenueMessage]:
    """Read the messages of one frame of any of these venues; errors as `Exchange.parse`."""
    if frame.via is Via.REST:
        return [_parse_rest(frame.raw, frame.request, dialect)]
    head = _decoded(_HEAD, frame.raw)
    if not head.topic:
        return [_parse_answer(head)]
    name, _, rest = head.topic.partition(".")
    if name == "orderbook":
        return [_parse_book(frame.raw, *rest.partition(".")[::2])]
    if name in TRADE_TOPICS:
        return _parse_trades(frame.raw, rest.rpartition(".")[2])
    if name == TICKERS:
        return [_ticker(frame.raw, rest)]
    if name in UNUSED_TOPICS:
        return [Ignored(name)]
    raise UnknownMessage(f"no topic is known by the name {head.topic[:80]!r}")


def _parse_book(raw: bytes, depth: str, symbol: str) -> VenueMessage:
    if not depth.isdecimal():  # `full` begins over REST, `rpi` shows other orders: neither is subscribed
        return Ignored(f"orderbook_{depth[:16]}")
    if depth == "1":
        return _quote(_decoded(_DEPTH, raw, Channel.QUOTE, symbol))
    message = _decoded(_DEPTH, raw, Channel.DEPTH, symbol)
    book, time = message.data, message.ts if message.cts is None else message.cts
    if message.type == "snapshot" or book.u == RESTARTED:  # steps 2 and 3 of the rule
        return DepthSnapshot(
            book.s,
            book.u,
            _pairs(book.b),
            _pairs(book.a),
            time * NS_PER_MS,
            SnapshotOrigin.IN_STREAM,
            coverage=Coverage.TOP_N,  # what leaves the best levels is deleted, what comes into them is told
        )
    return DepthDelta(book.s, book.u, book.u, _pairs(book.b), _pairs(book.a), book.u - 1, time * NS_PER_MS)


def _pairs(levels: Sequence[_BybitLevel]) -> list[tuple[str, str]]:
    return [(level.price, level.size) for level in levels]


def _quote(message: BybitDepth) -> BestQuote | Ignored:
    """Read the book of one level. Until 2023 it came as deltas too, of which one alone may not show both sides."""
    sides = [[level for level in _pairs(side) if level[1].strip("0.")] for side in (message.data.b, message.data.a)]
    if message.type == "delta" and [len(side) for side in sides] != [1, 1]:
        return Ignored("orderbook_1_delta")
    bid, ask = (side[0] if side else ("0", "0") for side in sides)
    # u numbers this topic, and seq every change: neither is on the scale of the book.
    return BestQuote(message.data.s, *bid, *ask, is_sampled=True, number=message.data.u)


def _parse_trades(raw: bytes, symbol: str) -> list[VenueMessage]:
    trades = _decoded(_TRADES, raw, Channel.TRADE, symbol).data
    return [_trade(trade) for trade in trades] or [Ignored("no_trade")]


def _trade(trade: _BybitTrade) -> TradeTick | Ignored:
    if trade.BT:  # a block trade was negotiated, and met nothing in the book
        return Ignored("trade_block")
    return TradeTick(trade.s, trade.i, trade.p, trade.v, trade.S == "Buy", trade.T * NS_PER_MS)


def _ticker(raw: bytes, symbol: str) -> DerivativeTick | Ignored:
    """Read what a ticker tells of a derivative; a change says no more than what changed, and often nothing of that."""
    message = _decoded(_TICKERS, raw, Channel.DERIVATIVE, symbol)
    ticker = message.data
    next_ms = _whole(ticker.nextFundingTime, symbol) or 0  # 0, or none, where there is no funding
    hours = _whole(ticker.fundingIntervalHour, symbol)
    tick = DerivativeTick(
        ticker.symbol or symbol,
        message.ts * NS_PER_MS,
        funding_rate=ticker.fundingRate or None,
        next_funding_ns=min(next_ms, MAX_MS) * NS_PER_MS or None,
        funding_interval_s=hours * SECONDS_PER_HOUR if hours else None,
        mark_price=ticker.markPrice or None,
        index_price=ticker.indexPrice or None,
        open_interest=ticker.openInterest or None,
    )
    return Ignored(TICKERS) if tick.tells_nothing else tick


def _whole(text: str, symbol: str) -> int | None:
    if not text:
        return None
    if not _WHOLE.fullmatch(text):
        raise DecodeError(f"{text[:40]!r} is no whole number", channel=Channel.DERIVATIVE, symbol=symbol)
    return int(text)


def _parse_answer(head: BybitHead) -> VenueMessage:
    if head.op in ("ping", "pong") or head.ret_msg == "pong":
        return Ignored("pong")
    if head.success is False and head.ret_msg.startswith(ALREADY):
        return Ack(head.req_id or "")
    if head.success is False:
        named, detail = _REFUSED.search(head.ret_msg), (head.ret_msg or "no reason given")[:MAX_TEXT]
        if named is None and _TOO_MANY.search(detail):
            return Notice(NoticeKind.TOO_MANY, detail)
        return Notice(NoticeKind.REFUSED, detail, named[1] if named else "")
    if head.success and head.op in ("", "subscribe", "unsubscribe"):
        return Ack(head.req_id or "")
    raise UnknownMessage("neither a topic's message nor the answer to a request")


def _parse_rest(raw: bytes, request: str, dialect: BybitDialect) -> VenueMessage:
    answer = _decoded(_REST, raw, Channel.INSTRUMENTS)
    if answer.retCode:
        kind = NoticeKind.UNAVAILABLE if answer.retCode in UNAVAILABLE else NoticeKind.REFUSED
        kind = NoticeKind.TOO_MANY if answer.retCode in TOO_MANY else kind
        return Notice(kind, f"{answer.retCode} {answer.retMsg}"[:MAX_TEXT])
    result = _decoded(_RESULT, bytes(answer.result), Channel.INSTRUMENTS)
    if result.b:
        return Ignored("orderbook_rest")  # it numbers the topic of 1,000 levels, which is not ours
    if not result.list:
        raise UnknownMessage("neither an instrument list nor a book")
    instruments, unreadable = [], []
    # One by one: an entry of another shape, of an instrument nobody asked for, must not hide all others.
    for entry in _decoded(_ENTRIES, bytes(result.list), Channel.INSTRUMENTS):
        try:
            instruments.append(_instrument(_LISTED.decode(entry), dialect))
        except (*_UNREADABLE, DecodeError, InvalidNumber):
            unreadable.append(_name_of(entry))
    more = _next_page(request, result.nextPageCursor or "")
    return InstrumentList(tuple(instruments), tuple(unreadable), more=more)


def _next_page(request: str, cursor: str) -> str:
    """Path and query of the page behind this one; the venue gives its cursor with reserved characters quoted."""
    if not cursor or not request:
        return ""
    return f"{re.sub('&cursor=[^&]*', '', request)}&cursor={quote(cursor, safe='%')}"


def _name_of(entry: msgspec.Raw) -> str:
    try:
        return _NAMED.decode(entry).symbol
    except _UNREADABLE:
        return ""


def _instrument(entry: BybitInstrument, dialect: BybitDialect) -> Instrument:
    return Instrument(
        venue=dialect.venue,
        symbol=entry.symbol,
        tick_size=Steps(entry.priceFilter.tickSize).step,
        lot_size=Steps(entry.lotSizeFilter.qtyStep or entry.lotSizeFilter.basePrecision).step,
        canonical=dialect.canonical(entry),
        contract_kind=dialect.kind(entry),
        trading_status="" if entry.status in TRADING else entry.status[:40],
        is_delisted=entry.status in DELISTED,
    )


def _decoded(decoder: msgspec.json.Decoder[D], text: bytes, channel: Channel | None = None, symbol: str = "") -> D:
    try:
        return decoder.decode(text)
    except msgspec.ValidationError as error:
        if channel is None:
            raise DecodeError(f"not the shape of a frame: {error}") from None
        raise DecodeError(f"not the shape of a {channel}: {error}", channel=channel, symbol=symbol) from None
    except _UNREADABLE as error:
        raise DecodeError(f"not JSON: {error}") from None


def say(op: str, topics: Sequence[str]) -> Say:
    """Write a request that names these topics. Its id is drawn from what it asks, so that nobody has to count."""
    key = str(crc32(" ".join([op, *topics]).encode()))
    return Say(msgspec.json.encode({"req_id": key, "op": op, "args": list(topics)}), (key,))
