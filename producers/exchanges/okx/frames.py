"""The JSON of OKX: shapes, field meanings, acknowledgements, instrument lists. Unknown extra fields are ignored."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Final, Literal, TypeVar
from urllib.parse import parse_qs, urlsplit

import msgspec

from orderbook.decimals import Steps
from producers.contract import Channel
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
from schemas.units import NS_PER_MS, NS_PER_SECOND

VENUE: Final = "okx"
BOOKS: Final = frozenset({"books", "books-l2-tbt", "books50-l2-tbt"})
BEST: Final = frozenset({"bbo-tbt", "books5"})
TRADES: Final = frozenset({"trades", "trades-all"})
DERIVATIVES: Final = frozenset({"funding-rate", "mark-price", "open-interest"})
UNUSED: Final = re.compile(
    r"adl-warning|block-tickers|books-elp|(mark-price-|index-)?candle\w+|estimated-price|index-tickers|"
    r"instruments|liquidation-orders|opt-summary|option-trades|price-limit|"
    r"public-(block|struc-block)-trades|sprd-.+|status|tickers"
)
"""Channels that the venue documents and obflow does not use; `books-elp` shows other orders."""
UPGRADE: Final = "64008"
TOO_MANY: Final = frozenset({"50011", "50061", "60014"})
"""Codes of an error that is about how often this address or connection asks."""
UNAVAILABLE: Final = frozenset({"50001", "50004", "50013", "50026"})
"""Codes of an error that is the venue's own: unavailable, timed out, busy, a system error."""
_REFUSED = re.compile(r"instId:([A-Za-z0-9_-]{1,64})")
"""How an error names the instrument that it is about."""
MAX_MS: Final = 9_223_372_036_854
"""Of a time, so that its nanoseconds are int64."""
MAX_TEXT: Final = 500

Id = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Previous = Annotated[int, msgspec.Meta(ge=-1, le=2**63 - 1)]
"""-1 on a snapshot: it follows nothing."""


class _OkxLevel(msgspec.Struct, array_like=True):
    """A level; a number that is always 0 and how many orders come after these, and are passed over."""

    price: str
    size: str


class _OkxArg(msgspec.Struct):
    channel: str = ""
    instId: str = ""  # noqa: N815 (the venue's name)


class OkxHead(msgspec.Struct):
    """Enough of a frame to say what it is."""

    arg: _OkxArg | None = None
    event: str = ""
    code: str | int = ""
    msg: str = ""


class OkxBook(msgspec.Struct):
    """The book in a message of depth."""

    asks: list[_OkxLevel]
    bids: list[_OkxLevel]
    ts: str
    seqId: Id | None = None  # noqa: N815 (the venue's name)
    prevSeqId: Previous | None = None  # noqa: N815 (the venue's name)
    checksum: int | None = None


class OkxBooks(msgspec.Struct):
    """A message of depth."""

    data: list[OkxBook]
    action: Literal["snapshot", "update", ""] = ""


class _OkxTrade(msgspec.Struct):
    instId: str  # noqa: N815 (the venue's name)
    tradeId: str  # noqa: N815 (the venue's name)
    px: str
    sz: str
    side: Literal["buy", "sell"]
    ts: str


class _OkxTrades(msgspec.Struct):
    data: list[_OkxTrade]


class _OkxDerivative(msgspec.Struct):
    """What one of the channels of a derivative tells; an empty text is no value."""

    instId: str  # noqa: N815 (the venue's name)
    ts: str = ""
    fundingRate: str = ""  # noqa: N815 (the venue's name)
    fundingTime: str = ""  # noqa: N815 (the venue's name)
    nextFundingTime: str = ""  # noqa: N815 (the venue's name)
    markPx: str = ""  # noqa: N815 (the venue's name)
    oi: str = ""


class _OkxDerivatives(msgspec.Struct):
    data: list[_OkxDerivative]


class _OkxRest(msgspec.Struct):
    code: str
    msg: str = ""
    data: list[msgspec.Raw] = []


class _OkxEntry(msgspec.Struct):
    """An entry of the instrument list; the fields after `state` are contracts'."""

    instId: str  # noqa: N815 (the venue's name)
    instType: Literal["SPOT", "SWAP", "FUTURES"]  # noqa: N815 (the venue's name)
    tickSz: str  # noqa: N815 (the venue's name)
    lotSz: str  # noqa: N815 (the venue's name)
    state: str = ""
    ctVal: str = ""  # noqa: N815 (the venue's name)
    ctMult: str = ""  # noqa: N815 (the venue's name)
    ctType: Literal["", "linear", "inverse"] = ""  # noqa: N815 (the venue's name)


_HEAD = msgspec.json.Decoder(OkxHead)
_BOOKS = msgspec.json.Decoder(OkxBooks)
_BOOK = msgspec.json.Decoder(OkxBook)
_TRADES = msgspec.json.Decoder(_OkxTrades)
_DERIVATIVES = msgspec.json.Decoder(_OkxDerivatives)
_REST = msgspec.json.Decoder(_OkxRest)
_ENTRY = msgspec.json.Decoder(_OkxEntry)
_NAMED = msgspec.json.Decoder(_OkxArg)
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What the decoder raises for text that is not what it should be."""

D = TypeVar("D")


def parse(frame: Frame) -> list[VenueMessage]:
    """Read the messages of one frame; errors as `Exchange.parse`."""
    if frame.via is Via.REST:
        return [_parse_rest(frame.raw, frame.request)]
    if frame.raw == b"pong":
        return [Ignored("pong")]
    head = _decoded(_HEAD, frame.raw)
    return [_parse_event(head)] if head.event or head.arg is None else _parse_data(frame.raw, head.arg)


def _parse_event(head: OkxHead) -> VenueMessage:
    if head.event in ("subscribe", "unsubscribe") and head.arg is not None:
        return Ack(f"{head.event}:{head.arg.channel}:{head.arg.instId}")
    if head.event == "error":
        named = _REFUSED.search(head.msg)
        return _refusal(str(head.code), head.msg, named[1] if named else "")
    if head.event == "notice" and str(head.code) == UPGRADE:
        return Notice(NoticeKind.SERVER_SHUTDOWN, head.msg[:MAX_TEXT])
    if head.event in ("notice", "channel-conn-count"):
        return Ignored(head.event)
    raise UnknownMessage("neither a channel's message nor the answer to a request")


def _refusal(code: str, message: str, symbol: str = "") -> Notice:
    kind = NoticeKind.UNAVAILABLE if code in UNAVAILABLE else NoticeKind.REFUSED
    kind = NoticeKind.TOO_MANY if code in TOO_MANY else kind
    return Notice(kind, f"{code} {message}"[:MAX_TEXT], symbol)


def _parse_data(raw: bytes, arg: _OkxArg) -> list[VenueMessage]:
    channel, symbol = arg.channel, arg.instId
    if channel in BOOKS:
        message = _decoded(_BOOKS, raw, Channel.DEPTH, symbol)
        found: list[VenueMessage] = [_depth(message.action, book, symbol) for book in message.data]
    elif channel in BEST:
        found = [_quote(book, symbol) for book in _decoded(_BOOKS, raw, Channel.QUOTE, symbol).data]
    elif channel in TRADES:
        found = [_trade(trade) for trade in _decoded(_TRADES, raw, Channel.TRADE, symbol).data]
    elif channel in DERIVATIVES:
        found = [_derivative(one, channel) for one in _decoded(_DERIVATIVES, raw, Channel.DERIVATIVE, symbol).data]
    elif UNUSED.fullmatch(channel):
        found = [Ignored(channel[:32])]
    else:
        raise UnknownMessage(f"no channel is known by the name {channel[:80]!r}")
    return found or [Ignored("nothing")]


def _depth(action: str, book: OkxBook, symbol: str) -> DepthDelta | DepthSnapshot:
    time = _nanoseconds(book.ts, Channel.DEPTH, symbol)
    bids, asks = _pairs(book.bids), _pairs(book.asks)
    checksum = book.checksum or None  # 0: not alive
    sequence = (time or 0) // NS_PER_MS if book.seqId is None else book.seqId
    if action == "snapshot":
        origin = SnapshotOrigin.IN_STREAM
        return DepthSnapshot(symbol, sequence, bids, asks, time, origin, checksum, Coverage.TOP_N)
    if action != "update" or (book.seqId is None) != (book.prevSeqId is None) or book.prevSeqId == -1:
        raise DecodeError("a book's message whose numbers make no sense", channel=Channel.DEPTH, symbol=symbol)
    return DepthDelta(symbol, sequence, sequence, bids, asks, book.prevSeqId, time, checksum)


def _quote(book: OkxBook, symbol: str) -> BestQuote:
    (bid, bid_size), (ask, ask_size) = (next(iter(_pairs(side[:1])), ("0", "0")) for side in (book.bids, book.asks))
    return BestQuote(symbol, bid, bid_size, ask, ask_size, is_sampled=True, number=book.seqId)


def _trade(trade: _OkxTrade) -> TradeTick:
    time = _nanoseconds(trade.ts, Channel.TRADE, trade.instId)
    return TradeTick(trade.instId, trade.tradeId, trade.px, trade.sz, trade.side == "buy", time)


def _derivative(told: _OkxDerivative, channel: str) -> DerivativeTick | Ignored:
    """Read funding, mark price or open interest. `fundingTime` is the next funding, the other the one after."""
    symbol = told.instId
    next_ns, after_ns, time = (
        _nanoseconds(text or "0", Channel.DERIVATIVE, symbol)
        for text in (told.fundingTime, told.nextFundingTime, told.ts)
    )
    interval_ns = after_ns - next_ns if next_ns and after_ns else 0
    tick = DerivativeTick(
        symbol,
        time,
        funding_rate=told.fundingRate or None,
        next_funding_ns=next_ns,
        funding_interval_s=interval_ns // NS_PER_SECOND if interval_ns > 0 else None,
        mark_price=told.markPx or None,
        open_interest=told.oi or None,
    )
    return Ignored(channel) if tick.tells_nothing else tick


def _pairs(levels: Sequence[_OkxLevel]) -> list[tuple[str, str]]:
    return [(level.price, level.size) for level in levels]


def _parse_rest(raw: bytes, request: str) -> VenueMessage:
    answer, url = _decoded(_REST, raw, Channel.INSTRUMENTS), urlsplit(request)
    if answer.code != "0":
        return _refusal(answer.code, answer.msg)
    if url.path.endswith("/books") and answer.data:
        return _whole(bytes(answer.data[0]), "".join(parse_qs(url.query).get("instId", [])))
    instruments, unreadable = [], []
    # One by one: an entry of another shape, of an instrument nobody asked for, must not hide all others.
    for entry in answer.data:
        try:
            instruments.append(_instrument(_ENTRY.decode(entry)))
        except (*_UNREADABLE, DecodeError, InvalidNumber):
            unreadable.append(_name_of(entry))
    return InstrumentList(tuple(instruments), tuple(unreadable))


def _whole(raw: bytes, symbol: str) -> DepthSnapshot:
    """Read a book over REST, which has to say its number: without one no update can be placed behind it."""
    book = _decoded(_BOOK, raw, Channel.SNAPSHOT, symbol)
    if book.seqId is None:
        raise DecodeError("a book without seqId", channel=Channel.SNAPSHOT, symbol=symbol)
    time = _nanoseconds(book.ts, Channel.SNAPSHOT, symbol)
    return DepthSnapshot(symbol, book.seqId, _pairs(book.bids), _pairs(book.asks), time, coverage=Coverage.TOP_N)


def _instrument(entry: _OkxEntry) -> Instrument:
    if entry.ctMult not in ("", "1"):
        raise InvalidNumber(f"a contract multiplier of {entry.ctMult[:40]}")
    if entry.instType != "SPOT" and not entry.ctType:  # taken for spot, its notional would be another
        raise DecodeError("a contract without its kind")
    return Instrument(
        venue=VENUE,
        symbol=entry.instId,
        tick_size=Steps(entry.tickSz).step,
        lot_size=Steps(entry.lotSz).step,
        canonical=_canonical(entry),
        contract_value="1" if entry.instType == "SPOT" else Steps(entry.ctVal).step,
        contract_kind=ContractKind(entry.ctType) if entry.ctType else ContractKind.SPOT,
        trading_status="" if entry.state in ("", "live") else entry.state[:40],
        is_delisted=entry.state == "expired",
    )


def _canonical(entry: _OkxEntry) -> str:
    """`BTC-USDT-SPOT`, `BTC-USDT-PERP`, `BTC-USD-250328`."""
    base, _, rest = entry.instId.partition("-")
    quote, _, kind = rest.partition("-")
    name = {"SPOT": "SPOT", "SWAP": "PERP"}.get(entry.instType, kind)
    if not (base and quote and name):
        raise DecodeError("a name that is none of its type")
    return f"{base}-{quote}-{name}"


def _name_of(entry: msgspec.Raw) -> str:
    try:
        return _NAMED.decode(entry).instId
    except _UNREADABLE:
        return ""


def _nanoseconds(milliseconds: str, channel: Channel, symbol: str) -> int | None:
    """Read a time; the venue writes 0 where it has none."""
    if not (milliseconds.isascii() and milliseconds.isdecimal() and len(milliseconds) <= 13):
        raise DecodeError("a time that is none", channel=channel, symbol=symbol)
    return min(int(milliseconds), MAX_MS) * NS_PER_MS or None


def _decoded(decoder: msgspec.json.Decoder[D], text: bytes, channel: Channel | None = None, symbol: str = "") -> D:
    try:
        return decoder.decode(text)
    except msgspec.ValidationError as error:
        if channel is None:
            raise DecodeError(f"not the shape of a frame: {error}") from None
        raise DecodeError(f"not the shape of a {channel}: {error}", channel=channel, symbol=symbol) from None
    except _UNREADABLE as error:
        raise DecodeError(f"not JSON: {error}") from None
