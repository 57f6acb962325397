"""The JSON that Binance's venues share: shapes, field meanings, subscriptions.

What differs (sequence ids, trade kinds, addresses, limits) stays with them.
Unknown extra fields are ignored, as the venue adds some every year. Times come in milliseconds, or in microseconds
where the connection asked for them; both are told apart by their size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Final, Literal, NamedTuple, TypeVar
from urllib.parse import parse_qs, urlsplit
from zlib import crc32

import msgspec

from orderbook.decimals import INT64_MAX, Steps
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
    TradeTick,
    VenueMessage,
    Via,
)
from schemas.errors import DecodeError, InvalidNumber, MessageError, UnknownMessage
from schemas.messages import ContractKind, Coverage
from schemas.units import NS_PER_MS, NS_PER_US

Id = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Time = Annotated[int, msgspec.Meta(ge=0, le=9_223_372_036_854_775)]
"""Milliseconds or microseconds; the bound keeps nanoseconds within int64."""
MICROSECONDS_FROM: Final = 10**14
"""From here a time is in microseconds: as milliseconds it would lie in the year 5138."""
DEPTH_SPEED: Final = "100ms"

OPEN_INTEREST: Final = "/openInterest?"
"""In the request whose answer it is."""
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
TRADING: Final = frozenset({"", "TRADING"})
"""What the instrument list says of one that trades. Others it documents are PRE_TRADING, PENDING_TRADING, POST_TRADING,
END_OF_DAY, AUCTION_MATCH, HALT, BREAK, CANCEL_ONLY, PRE_DELIVERING, DELIVERING, PRE_SETTLE and SETTLING."""
DELISTED: Final = frozenset({"DELIVERED", "CLOSE", "DELISTED"})
"""What it says of one that will not trade again."""
MAX_STATUS: Final = 40
AGGREGATES: Final = "aggTrade"
MARK_PRICE: Final = "markPriceUpdate"
SHUTDOWN: Final = "serverShutdown"


class Envelope(msgspec.Struct):
    """Any WebSocket frame: an event in either envelope, a bare event, or an answer to a request."""

    stream: str = ""
    data: msgspec.Raw = msgspec.Raw(b"")
    event: msgspec.Raw = msgspec.Raw(b"")
    e: str = ""
    s: str = ""
    A: msgspec.Raw = msgspec.Raw(b"")
    id: int | None = None
    result: msgspec.Raw = msgspec.Raw(b"")
    error: msgspec.Raw = msgspec.Raw(b"")
    code: int | None = None
    msg: str = ""


class _Wrapped(msgspec.Struct):
    """What an envelope holds, whatever the rest of it is."""

    data: msgspec.Raw = msgspec.Raw(b"")
    event: msgspec.Raw = msgspec.Raw(b"")


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


class _LongLevel(msgspec.Struct, array_like=True):
    """A level with more than price and size, as `[price, size, []]` of before 2019: what else it has is passed over."""

    price: str
    size: str


class _LongDepth(DepthEvent):
    b: list[_LongLevel]  # type: ignore[assignment]
    a: list[_LongLevel]  # type: ignore[assignment]


class _Trade(msgspec.Struct):
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


class _Quote(msgspec.Struct):
    s: str
    u: Id
    b: str
    B: str
    a: str
    A: str
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


class _Rest(msgspec.Struct):
    """Any REST answer obflow asks for, or a refusal."""

    lastUpdateId: Id | None = None  # noqa: N815 (the venue's name)
    symbols: msgspec.Raw = msgspec.Raw(b"")
    rateLimits: msgspec.Raw = msgspec.Raw(b"")  # noqa: N815 (the venue's name)
    openInterest: str | None = None  # noqa: N815 (the venue's name)
    symbol: str = ""
    time: Time | None = None
    code: int | None = None
    msg: str = ""


class _RateLimit(msgspec.Struct):
    rateLimitType: str = ""  # noqa: N815 (the venue's name)
    interval: str = ""
    intervalNum: int = 0  # noqa: N815 (the venue's name)
    limit: int = 0


class _Snapshot(msgspec.Struct):
    lastUpdateId: Id  # noqa: N815 (the venue's name)
    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]
    E: Time | None = None
    T: Time | None = None
    symbol: str | None = None  # few venues say whose book it is


class _LongSnapshot(_Snapshot):
    bids: list[_LongLevel]  # type: ignore[assignment]
    asks: list[_LongLevel]  # type: ignore[assignment]


class ListedInstrument(msgspec.Struct):
    """An entry of the instrument list; all fields after `status` are the futures'."""

    symbol: str
    baseAsset: str  # noqa: N815 (the venue's name)
    quoteAsset: str  # noqa: N815 (the venue's name)
    filters: list[dict[str, object]]
    status: str = ""
    contractStatus: str = ""  # noqa: N815 (the venue's name)
    contractType: str = ""  # noqa: N815 (the venue's name)
    deliveryDate: int = 0  # noqa: N815 (the venue's name)
    contractSize: Annotated[int, msgspec.Meta(gt=0)] = 1  # noqa: N815 (the venue's name)


class _Named(msgspec.Struct):
    """Enough of an entry to say whose it is."""

    symbol: str = ""


class Dialect(NamedTuple):
    """Where the venues' words differ.

    Attributes:
        venue: Exchange id.
        canonical: Canonical name of a listed instrument.
        contract_kind: Kind of all its instruments.
        has_previous_id: Whether a depth event must carry `pu`.
        market_trades_only: Whether trades of another kind than MARKET (insurance fund, liquidation engine) occur and
            are left out.
    """

    venue: str
    canonical: Callable[[ListedInstrument], str]
    contract_kind: ContractKind
    has_previous_id: bool
    market_trades_only: bool


_ENVELOPE = msgspec.json.Decoder(Envelope)
_WRAPPED = msgspec.json.Decoder(_Wrapped)
_EVENT = msgspec.json.Decoder(_Event)
_EVENTS = msgspec.json.Decoder(list[_Event])
_DEPTH = msgspec.json.Decoder(DepthEvent)
_LONG_DEPTH = msgspec.json.Decoder(_LongDepth)
_TRADE = msgspec.json.Decoder(_Trade)
_AGGREGATE = msgspec.json.Decoder(_Aggregate)
_QUOTE = msgspec.json.Decoder(_Quote)
_MARK = msgspec.json.Decoder(_Mark)
_REST = msgspec.json.Decoder(_Rest)
_SNAPSHOT = msgspec.json.Decoder(_Snapshot)
_LONG_SNAPSHOT = msgspec.json.Decoder(_LongSnapshot)
_ENTRIES = msgspec.json.Decoder(list[msgspec.Raw])
_LISTED = msgspec.json.Decoder(ListedInstrument)
_NAMED = msgspec.json.Decoder(_Named)
_RATE_LIMITS = msgspec.json.Decoder(list[_RateLimit])

_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What the decoder raises for text that is not what it should be."""

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
        return [_parse_rest(frame.raw, frame.request, dialect)]
    try:
        return [_parse_websocket(frame.raw, dialect)]
    except MessageError:
        if passed := _passed_over(frame.raw):
            return [passed]
        raise


def _parse_websocket(frame: bytes, dialect: Dialect) -> VenueMessage:
    head = _decoded(_ENVELOPE, frame)
    if head.stream:
        return _parse_stream(head.stream, bytes(head.data), dialect)
    if head.e:
        return _parse_event(head.e, head.s, frame, dialect)
    if wrapped := bytes(head.data) or bytes(head.event):
        what = _decoded(_EVENT, wrapped)
        return _parse_event(what.e, what.s, wrapped, dialect)
    if head.A and head.s:  # spot's best quote is the one event without a type
        return _quote(frame, head.s)
    return _parse_answer(head)


def _passed_over(frame: bytes) -> VenueMessage | None:
    """Know a frame that gave no message: the venue's farewell, however wrapped, or several events of an unused kind."""
    try:
        if frame.lstrip()[:1] == b"[":
            kinds = {event.e for event in _EVENTS.decode(frame)}
            if SHUTDOWN in kinds:
                return _farewell()
            return Ignored(kinds.pop()) if len(kinds) == 1 and kinds <= UNUSED_CHANNELS else None
        head = _WRAPPED.decode(frame)
        what = _EVENT.decode(bytes(head.data) or bytes(head.event))
    except _UNREADABLE:
        return None
    return _farewell() if what.e == SHUTDOWN else None


def _farewell() -> Notice:
    return Notice(NoticeKind.SERVER_SHUTDOWN, "the venue announced a disconnect")


def _parse_stream(stream: str, event: bytes, dialect: Dialect) -> VenueMessage:
    name, _, rest = stream.partition("@")
    symbol, kind = name.upper(), rest.partition("@")[0]
    channel = _STREAM_CHANNELS.get(kind)
    if channel is Channel.DEPTH:
        return _depth(event, symbol, dialect)
    if channel is Channel.QUOTE:
        return _quote(event, symbol)
    if channel is Channel.TRADE:
        return _trade(event, symbol, dialect)
    if channel is Channel.DERIVATIVE:
        return _mark(event, symbol)
    unused = (name[1:] if stream.startswith("!") else kind).partition("_")[0]
    if unused == AGGREGATES:
        return _aggregate(event)
    if unused in UNUSED_CHANNELS or unused == "bookTicker":  # of all instruments: that of one is a channel
        return Ignored(unused)
    what = _decoded(_EVENT, event)
    return _parse_event(what.e, what.s, event, dialect, stream=stream)


def _parse_event(kind: str, symbol: str, event: bytes, dialect: Dialect, *, stream: str = "") -> VenueMessage:
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
        detail = bytes(head.error).decode(errors="replace") if head.error else f"{head.code} {head.msg}"
        return Notice(NoticeKind.REFUSED, detail[:500])
    if head.result:
        return Ack("" if head.id is None else str(head.id))
    raise UnknownMessage("neither a stream's event nor the answer to a request")


def _depth(event: bytes, symbol: str, dialect: Dialect) -> DepthDelta:
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
        depth.s, depth.U, depth.u, depth.b, depth.a, depth.pu, _nanoseconds(matched, Channel.DEPTH, symbol)
    )


def _long_depth(event: bytes) -> DepthEvent | None:
    """Read an update whose levels have more than two elements; None where that is not what ails it."""
    try:
        long = _LONG_DEPTH.decode(event)
    except _UNREADABLE:
        return None
    return DepthEvent(long.e, long.s, long.E, long.U, long.u, _pairs(long.b), _pairs(long.a), long.pu, long.T)


def _pairs(levels: Sequence[_LongLevel]) -> list[tuple[str, str]]:
    return [(level.price, level.size) for level in levels]


def _trade(event: bytes, symbol: str, dialect: Dialect) -> TradeTick | Ignored:
    trade = _decoded_event(_TRADE, event, Channel.TRADE, symbol)
    if dialect.market_trades_only and trade.X != "MARKET":
        return Ignored(f"trade_{trade.X.lower()[:32]}")
    matched = trade.E if trade.T is None else trade.T
    # m: the buyer was the maker, so the seller was the aggressor.
    return TradeTick(trade.s, str(trade.t), trade.p, trade.q, not trade.m, _nanoseconds(matched, Channel.TRADE, symbol))


def _aggregate(event: bytes) -> TradeTick | Ignored:
    """Read trades that stand in for those of the trade channel; whoever has that one passes these over."""
    try:
        trade = _AGGREGATE.decode(event)
    except _UNREADABLE:
        return Ignored(AGGREGATES)
    time = _nanoseconds(trade.E if trade.T is None else trade.T, Channel.TRADE, trade.s)
    return TradeTick(trade.s, str(trade.l), trade.p, trade.q, not trade.m, time, stands_in=AGGREGATES)


def _quote(event: bytes, symbol: str) -> BestQuote:
    quote = _decoded_event(_QUOTE, event, Channel.QUOTE, symbol)
    return BestQuote(quote.s, quote.b, quote.B, quote.a, quote.A, quote.u)


def _mark(event: bytes, symbol: str) -> DerivativeTick:
    mark = _decoded_event(_MARK, event, Channel.DERIVATIVE, symbol)
    next_ns = _nanoseconds(mark.T, Channel.DERIVATIVE, symbol) if mark.T else None
    return DerivativeTick(
        mark.s,
        _nanoseconds(mark.E, Channel.DERIVATIVE, symbol),
        funding_rate=mark.r or None if next_ns else None,  # "0.00000000" of a delivery, which has no funding
        next_funding_ns=next_ns,
        mark_price=mark.p,
        index_price=mark.i or None,
    )


def _parse_rest(frame: bytes, request: str, dialect: Dialect) -> VenueMessage:
    channel = Channel.DERIVATIVE if OPEN_INTEREST in request else Channel.SNAPSHOT
    head = _decoded(_REST, frame, channel, _requested_symbol(request) or "")
    if head.openInterest is not None:
        time = None if head.time is None else _nanoseconds(head.time, Channel.DERIVATIVE, head.symbol)
        return DerivativeTick(head.symbol, time, open_interest=head.openInterest)
    if head.lastUpdateId is not None:
        snapshot = _whole(frame, _requested_symbol(request) or "")
        symbol = _requested_symbol(request) or snapshot.symbol
        time = snapshot.E if snapshot.T is None else snapshot.T
        return DepthSnapshot(
            symbol,
            snapshot.lastUpdateId,
            snapshot.bids,
            snapshot.asks,
            None if time is None else _nanoseconds(time, Channel.SNAPSHOT, symbol or ""),
            coverage=Coverage.RANGE,  # so many levels at most; not even of a short side does it say that this is all
        )
    if head.symbols:
        return _listed(bytes(head.symbols), bytes(head.rateLimits), dialect)
    if head.code is not None:
        return Notice(NoticeKind.REFUSED, f"{head.code} {head.msg}"[:500])
    raise UnknownMessage("neither a depth snapshot nor an instrument list")


def _whole(frame: bytes, symbol: str) -> _Snapshot:
    try:
        return _decoded(_SNAPSHOT, frame, Channel.SNAPSHOT, symbol)
    except DecodeError:
        try:
            long = _LONG_SNAPSHOT.decode(frame)
        except _UNREADABLE:
            long = None
        if long is None:
            raise
    return _Snapshot(long.lastUpdateId, _pairs(long.bids), _pairs(long.asks), long.E, long.T, long.symbol)


def _requested_symbol(request: str) -> str | None:
    return next(iter(parse_qs(urlsplit(request).query).get("symbol", [])), None)


def _listed(entries: bytes, limits: bytes, dialect: Dialect) -> InstrumentList:
    instruments, unreadable = [], []
    # One by one: an entry of another shape, of an instrument nobody asked for, must not hide all others.
    for raw in _decoded(_ENTRIES, entries, Channel.INSTRUMENTS):
        try:
            instruments.append(_instrument(_LISTED.decode(raw), dialect))
        except (*_UNREADABLE, InvalidNumber, KeyError):
            unreadable.append(_name_of(raw))
    return InstrumentList(tuple(instruments), tuple(unreadable), _weight_per_minute(limits))


def _name_of(entry: msgspec.Raw) -> str:
    try:
        return _NAMED.decode(entry).symbol
    except _UNREADABLE:
        return ""


def _weight_per_minute(limits: bytes) -> int | None:
    if not limits:
        return None
    try:
        rules = _RATE_LIMITS.decode(limits)
    except _UNREADABLE:
        return 0  # no limit that could be meant: the list itself is none the worse for it
    for rule in rules:
        if (rule.rateLimitType, rule.interval, rule.intervalNum) == ("REQUEST_WEIGHT", "MINUTE", 1):
            return rule.limit
    return None


def _instrument(entry: ListedInstrument, dialect: Dialect) -> Instrument:
    # pricePrecision and quantityPrecision are for display; the grid is in the filters.
    status = entry.status or entry.contractStatus
    filters = {str(rule.get("filterType")): rule for rule in entry.filters}
    return Instrument(
        venue=dialect.venue,
        symbol=entry.symbol,
        tick_size=Steps(str(filters["PRICE_FILTER"]["tickSize"])).step,
        lot_size=Steps(str(filters["LOT_SIZE"]["stepSize"])).step,
        canonical=dialect.canonical(entry),
        contract_value=str(entry.contractSize),
        contract_kind=dialect.contract_kind,
        trading_status="" if status in TRADING else status[:MAX_STATUS],
        is_delisted=status in DELISTED,
    )


def _nanoseconds(time: int, channel: Channel, symbol: str) -> int:
    nanoseconds = time * NS_PER_US if time >= MICROSECONDS_FROM else time * NS_PER_MS
    if nanoseconds > INT64_MAX:
        raise InvalidNumber(f"the time {time} is beyond int64 in nanoseconds", channel=channel, symbol=symbol)
    return nanoseconds


D = TypeVar("D")
E = TypeVar("E", DepthEvent, _Trade, _Quote, _Mark)


def _decoded_event(decoder: msgspec.json.Decoder[E], text: bytes, channel: Channel, symbol: str) -> E:
    """Decode the event of a channel, or say whether it was another event or this one out of shape."""
    try:
        event = _decoded(decoder, text, channel, symbol)
        kind = event.e
    except DecodeError:
        kind = _decoded(_EVENT, text, channel, symbol).e
        if kind in ("", _EVENT_OF[channel]):
            raise
    else:
        if kind == _EVENT_OF[channel]:
            return event
    raise UnknownMessage(f"an event {kind[:80]!r} where a {channel} belongs", channel=channel, symbol=symbol)


def _decoded(decoder: msgspec.json.Decoder[D], text: bytes, channel: Channel | None = None, symbol: str = "") -> D:
    try:
        return decoder.decode(text)
    except msgspec.ValidationError as error:
        if channel is None:
            raise DecodeError(f"not the shape of a frame: {error}") from None
        raise DecodeError(f"not the shape of a {channel}: {error}", channel=channel, symbol=symbol) from None
    except _UNREADABLE as error:
        raise DecodeError(f"not JSON: {error}") from None


def streams(symbol: str) -> tuple[str, ...]:
    """Name depth, trades and best quotes of one instrument; stream names are lower case."""
    name = symbol.lower()
    return (f"{name}@depth@{DEPTH_SPEED}", f"{name}@trade", f"{name}@bookTicker")


def derivative_streams(symbol: str) -> tuple[str, ...]:
    """Name the mark price, which has index and funding with it."""
    return (f"{symbol.lower()}@markPrice@1s",)


def alternative_streams(symbol: str) -> tuple[str, ...]:
    """Name the channel of trades that is there besides."""
    return (f"{symbol.lower()}@{AGGREGATES}",)


def say(method: str, symbols: Sequence[str], streams_of: Callable[[str], tuple[str, ...]] = streams) -> Say:
    """Write a SUBSCRIBE or UNSUBSCRIBE that names the streams of these instruments.

    Its id is drawn from what it asks, so that nobody has to count.
    """
    names = [name for symbol in symbols for name in streams_of(symbol)]
    key = crc32(" ".join([method, *names]).encode())
    return Say(msgspec.json.encode({"method": method, "params": names, "id": key}), (str(key),))
