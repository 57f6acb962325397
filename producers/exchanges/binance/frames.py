"""The WebSocket frames that Binance's venues share: shapes and field meanings.

What differs (sequence ids, trade kinds, addresses, limits) stays with them.
Unknown extra fields are ignored, as the venue adds some every year.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final, Literal, NamedTuple, TypeVar

import msgspec

from producers.contract import Channel
from producers.decoding import UNREADABLE, Id, Level, Text, decoded, pairs
from producers.exchanges.binance.answers import Dialect, parse_answer, refusal
from producers.exchanges.binance.requests import AGGREGATES
from producers.exchanges.binance.times import Time, nanoseconds
from producers.messages import (
    Ack,
    BestQuote,
    DepthDelta,
    DerivativeTick,
    Frame,
    Ignored,
    Notice,
    NoticeKind,
    TradeTick,
    VenueMessage,
    Via,
)
from schemas.errors import DecodeError, MessageError, UnknownMessage

UNUSED_CHANNELS: Final = frozenset(
    {
        "1dTicker",
        "1hTicker",
        "24hrMiniTicker",
        "24hrTicker",
        "4hTicker",
        "aggTrade",
        "assetIndex",
        "assetIndexUpdate",
        "avgPrice",
        "compositeIndex",
        "continuousKline",
        "continuous_kline",
        "contractInfo",
        "depth10",
        "depth20",
        "depth5",
        "forceOrder",
        "indexPrice",
        "indexPriceKline",
        "indexPriceUpdate",
        "indexPrice_kline",
        "kline",
        "markPrice",
        "markPriceKline",
        "markPriceUpdate",
        "markPrice_kline",
        "miniTicker",
        "openInterest",
        "referencePrice",
        "rpiDepth",
        "ticker",
        "tradingSession",
    }
)
"""Channels and event types that the venue documents and obflow does not use.

A channel of all instruments (`!ticker@arr`) goes by the same name; of mark prices that alone is not used. `depth5` and
its like bring few levels, `rpiDepth` other orders, on the futures as the same event as the depth that is used: the
stream's name tells.
"""
KNOWN_STREAMS: Final = 4_096
"""Names of streams that are remembered, where they are no longer than these are: they are not read with each frame."""
LONGEST_NAME: Final = 64
MARK_PRICE: Final = "markPriceUpdate"
SHUTDOWN: Final = "serverShutdown"
PARTIAL_DEPTH: Final = "partial_depth"
"""What `depth5` and its like are counted by on spot where no name of a stream comes with them."""


class Envelope(msgspec.Struct, gc=False):
    """Any WebSocket frame: an event in either envelope, a bare event, or an answer to a request."""

    stream: str = ""
    data: msgspec.Raw = msgspec.Raw(b"")
    event: msgspec.Raw = msgspec.Raw(b"")
    e: str = ""
    s: str = ""
    A: msgspec.Raw = msgspec.Raw(b"")
    id: int | str | None = None
    result: msgspec.Raw = msgspec.Raw(b"")
    error: msgspec.Raw = msgspec.Raw(b"")
    code: int | None = None
    msg: str = ""


class _ErrorCode(msgspec.Struct):
    code: int | None = None


class _Wrapped(msgspec.Struct):
    """What an envelope holds, whatever the rest of it is."""

    data: msgspec.Raw = msgspec.Raw(b"")
    event: msgspec.Raw = msgspec.Raw(b"")
    lastUpdateId: msgspec.Raw = msgspec.Raw(b"")  # noqa: N815 (the venue's name)


class DepthEvent(msgspec.Struct):
    """An update of a book."""

    e: str
    s: str
    E: Time
    U: Id
    u: Id
    b: list[tuple[str, str]]
    a: list[tuple[str, str]]
    pu: Id | None = None
    T: Time | None = None


class _LongDepth(DepthEvent):
    b: list[Level]  # type: ignore[assignment]
    a: list[Level]  # type: ignore[assignment]


class _Trade(msgspec.Struct, gc=False):
    e: str
    s: str
    E: Time
    t: Id
    p: str
    q: str
    m: bool
    T: Time | None = None
    X: str = "MARKET"


class _Aggregate(msgspec.Struct):
    """Trades of one order at one price; f and l are the ids of the first and last of them."""

    e: Literal["aggTrade"]
    s: str
    E: Time
    p: str
    q: str
    l: Id  # noqa: E741 (the venue's name)
    m: bool
    T: Time | None = None


class _Quote(msgspec.Struct, gc=False):
    """A best quote; a side without orders is 0 at price 0, and null or empty with those who pass it on."""

    s: str
    u: Id
    b: str | None
    B: str | None
    a: str | None
    A: str | None
    e: str = "bookTicker"  # spot does not say


class _Mark(msgspec.Struct):
    """A mark price; r is empty, or T is 0, where there is no funding."""

    e: str
    s: str
    E: Time
    p: str
    i: str = ""
    r: str = ""
    T: Time = 0


class _Event(msgspec.Struct):
    """Enough of an event to say what it is."""

    e: str = ""
    s: str = ""


_ENVELOPE = msgspec.json.Decoder(Envelope)
_ERROR = msgspec.json.Decoder(_ErrorCode)
_WRAPPED = msgspec.json.Decoder(_Wrapped)
_EVENT = msgspec.json.Decoder(_Event)
_EVENTS = msgspec.json.Decoder(list[_Event])
_DEPTH = msgspec.json.Decoder(DepthEvent)
_LONG_DEPTH = msgspec.json.Decoder(_LongDepth)
_TRADE = msgspec.json.Decoder(_Trade)
_AGGREGATE = msgspec.json.Decoder(_Aggregate)
_QUOTE = msgspec.json.Decoder(_Quote)
_MARK = msgspec.json.Decoder(_Mark)
_EVENT_CHANNELS: Final[Mapping[str, Channel]] = {
    "depthUpdate": Channel.DEPTH,
    "trade": Channel.TRADE,
    "bookTicker": Channel.QUOTE,
    MARK_PRICE: Channel.DERIVATIVE,
}
_EVENT_OF: Final[Mapping[Channel, str]] = {channel: event for event, channel in _EVENT_CHANNELS.items()}
_STREAM_CHANNELS: Final[Mapping[str, Channel]] = {
    "depth": Channel.DEPTH,
    "trade": Channel.TRADE,
    "bookTicker": Channel.QUOTE,
    "markPrice": Channel.DERIVATIVE,
}


def parse(frame: Frame, dialect: Dialect) -> list[VenueMessage]:
    """Read the messages of one frame of any of these venues; errors as `Exchange.parse`."""
    if frame.via is Via.REST:
        return [parse_answer(frame.raw, frame.request, dialect)]
    try:
        return [_parse_websocket(frame.raw, dialect)]
    except MessageError:
        if passed := _passed_over(frame.raw):
            return [passed]
        raise


def _parse_websocket(frame: bytes, dialect: Dialect) -> VenueMessage:
    head = decoded(_ENVELOPE, frame)
    if head.stream:
        return _parse_stream(head.stream, head.data, dialect)
    if head.e:
        return _parse_event(head.e, head.s, frame, dialect)
    if wrapped := bytes(head.data) or bytes(head.event):
        what = decoded(_EVENT, wrapped)
        return _parse_event(what.e, what.s, wrapped, dialect)
    if head.A and head.s:  # spot's best quote is the one event without a type
        return _quote(frame, head.s)
    return _parse_answer(head)


def _passed_over(frame: bytes) -> VenueMessage | None:
    """Know a frame that gave no message: the venue's farewell, however wrapped, or what is not used.

    That is several events of an unused kind, or few levels over a connection that names no streams.
    """
    try:
        if frame.lstrip()[:1] == b"[":
            kinds = {event.e for event in _EVENTS.decode(frame)}
            if SHUTDOWN in kinds:
                return _farewell()
            return Ignored(kinds.pop()) if len(kinds) == 1 and kinds <= UNUSED_CHANNELS else None
        head = _WRAPPED.decode(frame)
        if head.lastUpdateId and not head.data:
            return Ignored(PARTIAL_DEPTH)
        what = _EVENT.decode(bytes(head.data) or bytes(head.event))
    except UNREADABLE:
        return None
    return _farewell() if what.e == SHUTDOWN else None


def _farewell() -> Notice:
    return Notice(NoticeKind.SERVER_SHUTDOWN, "the venue announced a disconnect")


class _StreamName(NamedTuple):
    """What the name of a stream says; `unused` is what it is counted by where it is no channel of ours."""

    symbol: str
    channel: Channel | None
    unused: str


def _stream(name: str) -> _StreamName:
    return _known_stream(name) if len(name) <= LONGEST_NAME else _stream_of(name)


def _stream_of(name: str) -> _StreamName:
    """Read the name of a stream."""
    whose, _, rest = name.partition("@")
    kind = rest.partition("@")[0]
    unused = (whose[1:] if name.startswith("!") else kind).partition("_")[0]
    return _StreamName(whose.upper(), _STREAM_CHANNELS.get(kind), unused)


_known_stream = lru_cache(KNOWN_STREAMS)(_stream_of)


def _parse_stream(stream: str, event: Text, dialect: Dialect) -> VenueMessage:
    symbol, channel, unused = _stream(stream)
    if channel is Channel.QUOTE:  # the most of them first
        return _quote(event, symbol)
    if channel is Channel.TRADE:
        return _trade(event, symbol, dialect)
    if channel is Channel.DEPTH:
        return _depth(event, symbol, dialect)
    if channel is Channel.DERIVATIVE:
        return _mark(event, symbol)
    if unused == AGGREGATES:
        return _aggregate(event)
    if unused in UNUSED_CHANNELS or unused == "bookTicker":  # of all instruments: that of one is a channel
        return Ignored(unused)
    what = decoded(_EVENT, event)
    return _parse_event(what.e, what.s, event, dialect, stream=stream)


def _parse_event(kind: str, symbol: str, event: Text, dialect: Dialect, *, stream: str = "") -> VenueMessage:
    channel = None if stream else _EVENT_CHANNELS.get(kind)
    if channel is Channel.DEPTH:
        return _depth(event, symbol, dialect)
    if channel is Channel.TRADE:
        return _trade(event, symbol, dialect)
    if channel is Channel.QUOTE:
        return _quote(event, symbol)
    if channel is Channel.DERIVATIVE:
        return _mark(event, symbol)
    if kind == AGGREGATES:
        return _aggregate(event)
    if kind in UNUSED_CHANNELS:
        return Ignored(kind)
    if kind == SHUTDOWN:
        return _farewell()
    raise UnknownMessage(f"no message is known by the name {(stream or kind)[:80]!r}", symbol=symbol)


def _parse_answer(head: Envelope) -> VenueMessage:
    if head.error or head.code is not None:
        if not head.error:
            return refusal(head.code, f"{head.code} {head.msg}")
        return refusal(_code_of(head.error), bytes(head.error).decode(errors="replace"))
    if head.result:
        return Ack("" if head.id is None else str(head.id))
    raise UnknownMessage("neither a stream's event nor the answer to a request")


def _code_of(error: msgspec.Raw) -> int | None:
    try:
        return _ERROR.decode(error).code
    except UNREADABLE:
        return None


def _depth(event: Text, symbol: str, dialect: Dialect) -> DepthDelta:
    try:
        depth = _decoded_event(_DEPTH, event, Channel.DEPTH, symbol)
    except DecodeError:
        long = _long_depth(event)
        if long is None:
            raise
        depth = long
    if depth.u < depth.U or (dialect.has_previous_id and depth.pu is None):
        raise DecodeError(
            "a depth update whose ids make no sense", channel=Channel.DEPTH, symbol=symbol, U=depth.U, u=depth.u
        )
    matched = depth.E if depth.T is None else depth.T
    return DepthDelta(
        depth.s, depth.U, depth.u, depth.b, depth.a, depth.pu, nanoseconds(matched, Channel.DEPTH, symbol)
    )


def _long_depth(event: Text) -> DepthEvent | None:
    """Read an update whose levels have more than two elements; None where that is not what ails it."""
    try:
        long = _LONG_DEPTH.decode(event)
    except UNREADABLE:
        return None
    return DepthEvent(long.e, long.s, long.E, long.U, long.u, pairs(long.b), pairs(long.a), long.pu, long.T)


def _trade(event: Text, symbol: str, dialect: Dialect) -> TradeTick | Ignored:
    trade = _decoded_event(_TRADE, event, Channel.TRADE, symbol)
    if dialect.market_trades_only and trade.X != "MARKET":
        return Ignored(f"trade_{trade.X.lower()[:32]}")
    matched = trade.E if trade.T is None else trade.T
    # m: the buyer was the maker, so the seller was the aggressor.
    return TradeTick(trade.s, str(trade.t), trade.p, trade.q, not trade.m, nanoseconds(matched, Channel.TRADE, symbol))


def _aggregate(event: Text) -> TradeTick | Ignored:
    """Read trades that stand in for those of the trade channel; whoever has that one passes these over."""
    try:
        trade = _AGGREGATE.decode(event)
    except UNREADABLE:
        return Ignored(AGGREGATES)
    time = nanoseconds(trade.E if trade.T is None else trade.T, Channel.TRADE, trade.s)
    return TradeTick(trade.s, str(trade.l), trade.p, trade.q, not trade.m, time, stands_in=AGGREGATES)


def _quote(event: Text, symbol: str) -> BestQuote:
    quote = _decoded_event(_QUOTE, event, Channel.QUOTE, symbol)
    return BestQuote(quote.s, quote.b or "0", quote.B or "0", quote.a or "0", quote.A or "0", quote.u)


def _mark(event: Text, symbol: str) -> DerivativeTick:
    mark = _decoded_event(_MARK, event, Channel.DERIVATIVE, symbol)
    next_ns = nanoseconds(mark.T, Channel.DERIVATIVE, symbol) if mark.T else None
    return DerivativeTick(
        mark.s,
        nanoseconds(mark.E, Channel.DERIVATIVE, symbol),
        funding_rate=mark.r or None if next_ns else None,  # "0.00000000" of a delivery, which has no funding
        next_funding_ns=next_ns,
        mark_price=mark.p,
        index_price=mark.i or None,
    )


E = TypeVar("E", DepthEvent, _Trade, _Quote, _Mark)


def _decoded_event(decoder: msgspec.json.Decoder[E], text: Text, channel: Channel, symbol: str) -> E:
    """Decode the event of a channel, or say whether it was another event or this one out of shape."""
    try:
        event = decoder.decode(text)
    except UNREADABLE:
        kind = decoded(_EVENT, text, channel, symbol).e
        if kind in ("", _EVENT_OF[channel]):
            decoded(decoder, text, channel, symbol)  # says what is wrong with it
    else:
        kind = event.e
        if kind == _EVENT_OF[channel]:
            return event
    raise UnknownMessage(f"an event {kind[:80]!r} where a {channel} belongs", channel=channel, symbol=symbol)
