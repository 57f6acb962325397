"""The messages of OKX: shapes, field meanings, acknowledgements. Unknown extra fields are ignored."""

from __future__ import annotations

import re
from typing import Final, Literal

import msgspec

from producers.contract import Channel
from producers.decoding import decoded, pairs
from producers.exchanges.okx.answers import MAX_TEXT, OkxBook, parse_answer, refusal
from producers.exchanges.okx.times import nanoseconds
from producers.messages import (
    Ack,
    BestQuote,
    DepthDelta,
    DepthSnapshot,
    DerivativeTick,
    Frame,
    Ignored,
    Notice,
    NoticeKind,
    SnapshotOrigin,
    TradeTick,
    VenueMessage,
    Via,
)
from schemas.errors import DecodeError, UnknownMessage
from schemas.messages import Coverage
from schemas.units import NS_PER_MS, NS_PER_SECOND

BOOKS: Final = frozenset({"books", "books-l2-tbt", "books50-l2-tbt"})
BEST: Final = frozenset({"bbo-tbt", "books5"})
TRADES: Final = frozenset({"trades", "trades-all"})
DERIVATIVES: Final = frozenset({"funding-rate", "mark-price", "open-interest"})
UNUSED: Final = re.compile(
    r"adl-warning|block-tickers|books-(elp|lite|rpi|rpi-tbt)|call-auction-details|"
    r"(mark-price-|index-)?candle\w+|economic-calendar|estimated-price|index-tickers|"
    r"instruments|liquidation-orders|opt-summary|option-trades|price-limit|"
    r"public-(block|struc-block)-trades|sprd-.+|status|tickers"
)
"""Channels that the venue documents and obflow does not use; `books-elp` and `books-rpi` show other orders."""
UPGRADE: Final = "64008"
_REFUSED = re.compile(r"instId:([A-Za-z0-9_-]{1,64})")
"""How an error names the instrument that it is about."""


class _OkxArg(msgspec.Struct):
    channel: str = ""
    instId: str = ""  # noqa: N815 (the venue's name)


class OkxHead(msgspec.Struct):
    """Enough of a frame to say what it is."""

    arg: _OkxArg | None = None
    event: str = ""
    code: str | int = ""
    msg: str = ""
    channel: str = ""


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


_HEAD = msgspec.json.Decoder(OkxHead)
_BOOKS = msgspec.json.Decoder(OkxBooks)
_TRADES = msgspec.json.Decoder(_OkxTrades)
_DERIVATIVES = msgspec.json.Decoder(_OkxDerivatives)


def parse(frame: Frame) -> list[VenueMessage]:
    """Read the messages of one frame; errors as `Exchange.parse`."""
    if frame.via is Via.REST:
        return [parse_answer(frame.raw, frame.request)]
    if frame.raw == b"pong":
        return [Ignored("pong")]
    head = decoded(_HEAD, frame.raw)
    return [_parse_event(head)] if head.event or head.arg is None else _parse_data(frame.raw, head.arg)


def _parse_event(head: OkxHead) -> VenueMessage:
    if head.event in ("subscribe", "unsubscribe") and head.arg is not None:
        return Ack(f"{head.event}:{head.arg.channel}:{head.arg.instId}")
    if head.event == "error":
        named = _REFUSED.search(head.msg)
        return refusal(str(head.code), head.msg, named[1] if named else "")
    if head.event == "notice" and str(head.code) == UPGRADE:
        return Notice(NoticeKind.SERVER_SHUTDOWN, head.msg[:MAX_TEXT])
    if head.event == "channel-conn-count-error":  # acknowledged before, and ended all the same
        return Notice(NoticeKind.REFUSED, f"too many connections have the channel {head.channel[:MAX_TEXT]}")
    if head.event in ("notice", "channel-conn-count", "login"):
        return Ignored(head.event)
    raise UnknownMessage("neither a channel's message nor the answer to a request")


def _parse_data(raw: bytes, arg: _OkxArg) -> list[VenueMessage]:
    channel, symbol = arg.channel, arg.instId
    if channel in BOOKS:
        message = decoded(_BOOKS, raw, Channel.DEPTH, symbol)
        found: list[VenueMessage] = [_depth(message.action, book, symbol) for book in message.data]
    elif channel in BEST:
        found = [_quote(book, symbol) for book in decoded(_BOOKS, raw, Channel.QUOTE, symbol).data]
    elif channel in TRADES:
        found = [_trade(trade) for trade in decoded(_TRADES, raw, Channel.TRADE, symbol).data]
    elif channel in DERIVATIVES:
        found = [_derivative(one, channel) for one in decoded(_DERIVATIVES, raw, Channel.DERIVATIVE, symbol).data]
    elif UNUSED.fullmatch(channel):
        found = [Ignored(channel[:32])]
    else:
        raise UnknownMessage(f"no channel is known by the name {channel[:80]!r}")
    return found or [Ignored("nothing")]


def _depth(action: str, book: OkxBook, symbol: str) -> DepthDelta | DepthSnapshot:
    time = nanoseconds(book.ts, Channel.DEPTH, symbol)
    bids, asks = pairs(book.bids), pairs(book.asks)
    checksum = book.checksum or None  # 0: not alive
    sequence = (time or 0) // NS_PER_MS if book.seqId is None else book.seqId
    if action == "snapshot":
        origin = SnapshotOrigin.IN_STREAM
        return DepthSnapshot(symbol, sequence, bids, asks, time, origin, checksum, Coverage.TOP_N)
    if action != "update" or (book.seqId is None) != (book.prevSeqId is None) or book.prevSeqId == -1:
        raise DecodeError("a book's message whose numbers make no sense", channel=Channel.DEPTH, symbol=symbol)
    return DepthDelta(symbol, sequence, sequence, bids, asks, book.prevSeqId, time, checksum)


def _quote(book: OkxBook, symbol: str) -> BestQuote:
    (bid, bid_size), (ask, ask_size) = (next(iter(pairs(side[:1])), ("", "")) for side in (book.bids, book.asks))
    best = (bid or "0", bid_size or "0", ask or "0", ask_size or "0")  # a side without orders has no level, or no text
    return BestQuote(symbol, *best, is_sampled=True, number=book.seqId)


def _trade(trade: _OkxTrade) -> TradeTick:
    time = nanoseconds(trade.ts, Channel.TRADE, trade.instId)
    return TradeTick(trade.instId, trade.tradeId, trade.px, trade.sz, trade.side == "buy", time)


def _derivative(told: _OkxDerivative, channel: str) -> DerivativeTick | Ignored:
    """Read funding, mark price or open interest. `fundingTime` is the next funding, the other the one after."""
    symbol = told.instId
    next_ns, after_ns, time = (
        nanoseconds(text or "0", Channel.DERIVATIVE, symbol)
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
