"""The messages that Bybit's venues share: shapes, field meanings, acknowledgements.

Unknown extra fields are ignored. Times are milliseconds: `cts` of the matching engine, `ts` of the push.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, Literal
from zlib import crc32

import msgspec

from producers.contract import Channel, Say
from producers.decoding import MAX_MS, Id, Level, TimeMs, decoded, pairs
from producers.exchanges.bybit.answers import MAX_TEXT, BybitDialect, parse_answer
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
from schemas.units import NS_PER_MS

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
        "rfq",
        "system",
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
_TOO_MANY = re.compile(r"too (?:many|frequent)|rate limit", re.IGNORECASE)
"""How an answer over WebSockets says so, which has no code."""


class BybitHead(msgspec.Struct):
    """Enough of a frame to say what it is; `op` and what follows it are an answer's."""

    topic: str = ""
    op: str = ""
    success: bool | None = None
    ret_msg: str | None = ""
    req_id: str | None = None


class _BybitTopics(msgspec.Struct):
    failTopics: list[str] = []  # noqa: N815 (the venue's name)


class _BybitCommand(msgspec.Struct):
    """An answer that names each topic, in place of one that is for all of them."""

    data: _BybitTopics = msgspec.field(default_factory=_BybitTopics)


class BybitBook(msgspec.Struct):
    """The book in a message of depth."""

    s: str
    b: list[Level]
    a: list[Level]
    u: Id


class BybitDepth(msgspec.Struct):
    """A message of depth."""

    type: Literal["snapshot", "delta"]
    ts: TimeMs
    data: BybitBook
    cts: TimeMs | None = None


class _BybitTrade(msgspec.Struct):
    T: TimeMs
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
    ts: TimeMs
    data: _BybitTicker


_HEAD = msgspec.json.Decoder(BybitHead)
_COMMAND = msgspec.json.Decoder(_BybitCommand)
_DEPTH = msgspec.json.Decoder(BybitDepth)
_TRADES = msgspec.json.Decoder(_BybitTrades)
_TICKERS = msgspec.json.Decoder(_BybitTickers)


def parse(frame: Frame, dialect: BybitDialect) -> list[VenueMessage]:
    """Read the messages of one frame of any of these venues; errors as `Exchange.parse`."""
    if frame.via is Via.REST:
        return [parse_answer(frame.raw, frame.request, dialect)]
    head = decoded(_HEAD, frame.raw)
    if not head.topic:
        return [_parse_answer(head, frame.raw)]
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
        return _quote(decoded(_DEPTH, raw, Channel.QUOTE, symbol))
    message = decoded(_DEPTH, raw, Channel.DEPTH, symbol)
    book, time = message.data, message.ts if message.cts is None else message.cts
    if message.type == "snapshot" or book.u == RESTARTED:  # steps 2 and 3 of the rule
        return DepthSnapshot(
            book.s,
            book.u,
            pairs(book.b),
            pairs(book.a),
            time * NS_PER_MS,
            SnapshotOrigin.IN_STREAM,
            coverage=Coverage.TOP_N,  # what leaves the best levels is deleted, what comes into them is told
        )
    return DepthDelta(book.s, book.u, book.u, pairs(book.b), pairs(book.a), book.u - 1, time * NS_PER_MS)


def _quote(message: BybitDepth) -> BestQuote | Ignored:
    """Read the book of one level. Until 2023 it came as deltas too, of which one alone may not show both sides."""
    sides = [[level for level in pairs(side) if level[1].strip("0.")] for side in (message.data.b, message.data.a)]
    if message.type == "delta" and [len(side) for side in sides] != [1, 1]:
        return Ignored("orderbook_1_delta")
    bid, ask = (side[0] if side else ("0", "0") for side in sides)
    # u numbers this topic, and seq every change: neither is on the scale of the book.
    return BestQuote(message.data.s, *bid, *ask, is_sampled=True, number=message.data.u)


def _parse_trades(raw: bytes, symbol: str) -> list[VenueMessage]:
    trades = decoded(_TRADES, raw, Channel.TRADE, symbol).data
    return [_trade(trade) for trade in trades] or [Ignored("no_trade")]


def _trade(trade: _BybitTrade) -> TradeTick | Ignored:
    if trade.BT:  # a block trade was negotiated, and met nothing in the book
        return Ignored("trade_block")
    return TradeTick(trade.s, trade.i, trade.p, trade.v, trade.S == "Buy", trade.T * NS_PER_MS)


def _ticker(raw: bytes, symbol: str) -> DerivativeTick | Ignored:
    """Read what a ticker tells of a derivative; a change says no more than what changed, and often nothing of that."""
    message = decoded(_TICKERS, raw, Channel.DERIVATIVE, symbol)
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


def _parse_answer(head: BybitHead, raw: bytes) -> VenueMessage:
    said = head.ret_msg or ""
    if head.op in ("ping", "pong") or said == "pong":
        return Ignored("pong")
    if head.success is False:
        return Ack(head.req_id or "") if said.startswith(ALREADY) else _refusal(said)
    if head.success and head.op in ("", "subscribe", "unsubscribe"):
        failed = decoded(_COMMAND, raw).data.failTopics if not head.op else []
        return _refusal(f"not subscribed: {', '.join(failed)}") if failed else Ack(head.req_id or "")
    raise UnknownMessage("neither a topic's message nor the answer to a request")


def _refusal(said: str) -> Notice:
    named, detail = _REFUSED.search(said), (said or "no reason given")[:MAX_TEXT]
    if named is None and _TOO_MANY.search(detail):
        return Notice(NoticeKind.TOO_MANY, detail)
    return Notice(NoticeKind.REFUSED, detail, named[1] if named else "")


def say(op: str, topics: Sequence[str]) -> Say:
    """Write a request that names these topics. Its id is drawn from what it asks, so that nobody has to count."""
    key = str(crc32(" ".join([op, *topics]).encode()))
    return Say(msgspec.json.encode({"req_id": key, "op": op, "args": list(topics)}), (key,))
