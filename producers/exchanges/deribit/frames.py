"""The JSON-RPC of Deribit: shapes, field meanings, answers to requests. Unknown extra fields are ignored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Literal

import msgspec

from producers.contract import Channel
from producers.decoding import UNREADABLE, Id, TimeMs, decoded
from producers.exchanges.deribit.answers import parse_list
from producers.exchanges.deribit.numbers import text_of
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
    Reply,
    SnapshotOrigin,
    TradeTick,
    VenueMessage,
    Via,
)
from schemas.errors import UnknownMessage
from schemas.units import NS_PER_MS

METHODS: Final = {
    1: "public/subscribe",
    2: "public/unsubscribe",
    3: "public/set_heartbeat",
    4: "public/test",
    5: "public/auth",
    6: "private/subscribe",
    7: "private/unsubscribe",
}
"""By the id that our requests have: an answer says no more of what it answers."""
IDS: Final = {method: number for number, method in METHODS.items()}
UNUSED: Final = frozenset(
    {
        "announcements",
        "block_rfq",
        "block_trade_confirmations",
        "chart",
        "deribit_price_index",
        "deribit_price_ranking",
        "deribit_price_statistics",
        "deribit_volatility_index",
        "estimated_expiration_price",
        "incremental_ticker",
        "instrument",
        "markprice",
        "perpetual",
        "platform_state",
        "rfq",
        "user",
    }
)
"""Channels that the venue documents and obflow does not use."""
TOO_MANY: Final = frozenset({10028, 10047, 10066})
"""Codes of an error that is about how often this address or session asks, or how much of it is under way."""
UNAVAILABLE: Final = frozenset({10040, 10041, 11051, 11094, 13028, 13503, 13888})
"""Codes of an error that is the venue's own: asked to retry, settling, under maintenance, failed, slow, timed out."""
MAX_TEXT: Final = 500


class _DeribitLevel(msgspec.Struct, array_like=True):
    """A level; whatever else it has is passed over."""

    action: Literal["new", "change", "delete"]
    price: float
    amount: float


class DeribitHeadParams(msgspec.Struct, frozen=True):
    """Enough of a notification to say of what channel it is."""

    channel: str = ""
    type: str = ""


class DeribitHead(msgspec.Struct):
    """Enough of a frame to say what it is: a notification by its method, or an answer."""

    method: str = ""
    params: DeribitHeadParams = DeribitHeadParams()
    id: int | str | None = None
    result: msgspec.Raw = msgspec.Raw(b"")
    error: msgspec.Raw = msgspec.Raw(b"")


class _DeribitError(msgspec.Struct):
    code: int = 0


class DeribitBook(msgspec.Struct):
    """The book in a notification."""

    instrument_name: str
    timestamp: TimeMs
    change_id: Id
    bids: list[_DeribitLevel]
    asks: list[_DeribitLevel]
    prev_change_id: Id | None = None
    type: Literal["snapshot", "change", ""] = ""


class _DeribitQuote(msgspec.Struct):
    instrument_name: str
    best_bid_price: float | None = None
    best_bid_amount: float | None = None
    best_ask_price: float | None = None
    best_ask_amount: float | None = None


class _DeribitTicker(msgspec.Struct):
    """A ticker as far as it is of a derivative; funding is a perpetual's."""

    instrument_name: str
    timestamp: TimeMs
    mark_price: float | None = None
    index_price: float | None = None
    open_interest: float | None = None
    current_funding: float | None = None


class _DeribitTrade(msgspec.Struct):
    instrument_name: str
    timestamp: TimeMs
    trade_id: str | int
    price: float
    amount: float
    direction: Literal["buy", "sell"]
    block_trade_id: str | None = None
    block_rfq_id: int | str | None = None
    combo_id: str | None = None
    combo_trade_id: int | str | None = None


class _DeribitBookParams(msgspec.Struct):
    data: DeribitBook


class _DeribitQuoteParams(msgspec.Struct):
    data: _DeribitQuote


class _DeribitTradeParams(msgspec.Struct):
    data: list[_DeribitTrade]


class _DeribitBookMessage(msgspec.Struct):
    params: _DeribitBookParams


class _DeribitTickerParams(msgspec.Struct):
    data: _DeribitTicker


class _DeribitTickerMessage(msgspec.Struct):
    params: _DeribitTickerParams


class _DeribitQuoteMessage(msgspec.Struct):
    params: _DeribitQuoteParams


class _DeribitTradeMessage(msgspec.Struct):
    params: _DeribitTradeParams


_ERROR = msgspec.json.Decoder(_DeribitError)
_HEAD = msgspec.json.Decoder(DeribitHead)
_BOOK = msgspec.json.Decoder(_DeribitBookMessage)
_QUOTE = msgspec.json.Decoder(_DeribitQuoteMessage)
_TICKER = msgspec.json.Decoder(_DeribitTickerMessage)
_TRADES = msgspec.json.Decoder(_DeribitTradeMessage)
_CHANNELS = msgspec.json.Decoder(list[str])


def parse(frame: Frame) -> list[VenueMessage]:
    """Read the messages of one frame; errors as `Exchange.parse`."""
    head = decoded(_HEAD, frame.raw)
    if head.method == "subscription":
        name, _, rest = head.params.channel.partition(".")
        return _CHANNELS_READ[name](frame.raw, rest) if name in _CHANNELS_READ else [_unused(name)]
    if head.method == "heartbeat":
        is_asked = head.params.type == "test_request"
        return [Reply(request("public/test", {})) if is_asked else Ignored("heartbeat")]
    if head.error:
        return [_refusal(bytes(head.error))]
    if not head.result:
        raise UnknownMessage("neither a notification nor the answer to a request")
    return [parse_list(bytes(head.result))] if frame.via is Via.REST else _answered(head)


def request(method: str, params: dict[str, object]) -> bytes:
    """Write a request; its id says what it was when it is answered."""
    return msgspec.json.encode({"jsonrpc": "2.0", "id": IDS[method], "method": method, "params": params})


def kind_of(code: int) -> NoticeKind:
    """Tell what an error is about, by its code."""
    if code in TOO_MANY:
        return NoticeKind.TOO_MANY
    return NoticeKind.UNAVAILABLE if code in UNAVAILABLE else NoticeKind.REFUSED


def _refusal(error: bytes) -> Notice:
    try:
        code = _ERROR.decode(error).code
    except UNREADABLE:
        code = 0
    return Notice(kind_of(code), error.decode(errors="replace")[:MAX_TEXT])


def _unused(name: str) -> Ignored:
    if name in UNUSED:
        return Ignored(name)
    raise UnknownMessage(f"no channel is known by the name {name[:80]!r}")


def _answered(head: DeribitHead) -> list[VenueMessage]:
    """Acknowledge the channels that the venue names, each by itself: one that it leaves out was not accepted.

    Where it names none, it accepted nothing, which it says in no other way. What is no list answers something else.
    """
    method = METHODS.get(head.id, "") if isinstance(head.id, int) else ""
    if method == "public/set_heartbeat":
        return [Ack(method)]
    if method == "public/test":
        return [Ignored("test")]
    if not method or bytes(head.result)[:1] != b"[":
        return [Ignored("answer")]
    channels = decoded(_CHANNELS, bytes(head.result))
    if not channels and method.endswith("/subscribe"):
        return [Notice(NoticeKind.REFUSED, "it accepted none of the channels")]
    return [Ack(f"{method}:{channel}") for channel in channels] or [Ignored("nothing")]


def _read_book(raw: bytes, rest: str) -> list[VenueMessage]:
    symbol, _, grouped = rest.rpartition(".")
    if "." in symbol:  # `X.none.10` of `X.none.10.100ms`: levels in groups, whole each time
        return [Ignored("book_grouped")]
    del grouped
    book = decoded(_BOOK, raw, Channel.DEPTH, symbol).params.data
    name, time = book.instrument_name, book.timestamp * NS_PER_MS
    bids, asks = _levels(book.bids), _levels(book.asks)
    if book.type == "snapshot" or not book.prev_change_id:  # step 1; until 2019 no message said its type
        return [DepthSnapshot(name, book.change_id, bids, asks, time, SnapshotOrigin.IN_STREAM)]
    return [DepthDelta(name, book.change_id, book.change_id, bids, asks, book.prev_change_id, time)]


def _levels(levels: Sequence[_DeribitLevel]) -> list[tuple[str, str]]:
    return [(text_of(level.price), "0" if level.action == "delete" else text_of(level.amount)) for level in levels]


def _read_quote(raw: bytes, rest: str) -> list[VenueMessage]:
    quote = decoded(_QUOTE, raw, Channel.QUOTE, rest).params.data
    bid, ask = (text_of(price or 0.0) for price in (quote.best_bid_price, quote.best_ask_price))
    sizes = text_of(quote.best_bid_amount or 0.0), text_of(quote.best_ask_amount or 0.0)
    return [BestQuote(quote.instrument_name, bid, sizes[0], ask, sizes[1], is_sampled=True)]


def _read_ticker(raw: bytes, rest: str) -> list[VenueMessage]:
    """Read a ticker. Where nothing is to be said of a derivative, as on spot, it is not needed."""
    ticker = decoded(_TICKER, raw, Channel.DERIVATIVE, rest.rpartition(".")[0]).params.data
    if ticker.open_interest is None:  # spot: its mark price is its index
        return [Ignored("ticker")]
    tick = DerivativeTick(
        ticker.instrument_name,
        ticker.timestamp * NS_PER_MS,
        funding_rate=_text_or_none(ticker.current_funding),
        mark_price=_text_or_none(ticker.mark_price),
        index_price=_text_or_none(ticker.index_price),
        open_interest=_text_or_none(ticker.open_interest),
    )
    return [tick]


def _text_or_none(number: float | None) -> str | None:
    return None if number is None else text_of(number)


def _read_trades(raw: bytes, rest: str) -> list[VenueMessage]:
    trades = decoded(_TRADES, raw, Channel.TRADE, rest.rpartition(".")[0]).params.data
    return [_trade(trade) for trade in trades] or [Ignored("nothing")]


def _trade(trade: _DeribitTrade) -> TradeTick | Ignored:
    """Read a trade. Blocks were negotiated; legs of a combination met its book, at a price made of several."""
    if trade.block_trade_id or trade.block_rfq_id:
        return Ignored("trade_block")
    if trade.combo_id or trade.combo_trade_id:
        return Ignored("trade_combo")
    price, amount, time = text_of(trade.price), text_of(trade.amount), trade.timestamp * NS_PER_MS
    return TradeTick(trade.instrument_name, str(trade.trade_id), price, amount, trade.direction == "buy", time)


_CHANNELS_READ: Final[dict[str, Callable[[bytes, str], list[VenueMessage]]]] = {
    "book": _read_book,
    "quote": _read_quote,
    "ticker": _read_ticker,
    "trades": _read_trades,
}
