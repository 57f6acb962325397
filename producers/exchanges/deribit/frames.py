"""The JSON-RPC of Deribit: shapes, field meanings, answers, instrument lists. Unknown extra fields are ignored.

Prices and amounts are JSON numbers. They are read as floats and written again in the fewest digits that give the same
float, which are the venue's own: none of its numbers has more than the 15 that a float keeps.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Final, Literal, TypeVar

import msgspec

from orderbook.decimals import CACHED_TEXTS, Steps
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
    Reply,
    SnapshotOrigin,
    TradeTick,
    VenueMessage,
    Via,
)
from schemas.errors import DecodeError, InvalidNumber, UnknownMessage
from schemas.messages import ContractKind
from schemas.units import NS_PER_MS

VENUE: Final = "deribit"
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
    }
)
"""Channels that the venue documents and obflow does not use."""
TRADING: Final = frozenset({"", "open", "started", "created"})
DELISTED: Final = frozenset({"archivized", "closed", "delivered", "settled", "terminated"})
"""What the list says of an instrument that will not trade again."""
TOO_MANY: Final = frozenset({10028, 10047, 10066})
"""Codes of an error that is about how often this address or session asks, or how much of it is under way."""
UNAVAILABLE: Final = frozenset({10040, 10041, 11051, 11094, 13028, 13503, 13888})
"""Codes of an error that is the venue's own: asked to retry, settling, under maintenance, failed, slow, timed out."""
MAX_TEXT: Final = 500

Id = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Time = Annotated[int, msgspec.Meta(ge=0, le=9_223_372_036_854)]
"""Milliseconds; the bound keeps nanoseconds within int64."""


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
    timestamp: Time
    change_id: Id
    bids: list[_DeribitLevel]
    asks: list[_DeribitLevel]
    prev_change_id: Id | None = None
    type: Literal["snapshot", "change", ""] = ""


class _DeribitQuote(msgspec.Struct):
    instrument_name: str
    best_bid_price: float | None
    best_bid_amount: float | None
    best_ask_price: float | None
    best_ask_amount: float | None


class _DeribitTicker(msgspec.Struct):
    """A ticker as far as it is of a derivative; funding is a perpetual's."""

    instrument_name: str
    timestamp: Time
    mark_price: float | None = None
    index_price: float | None = None
    open_interest: float | None = None
    current_funding: float | None = None


class _DeribitTrade(msgspec.Struct):
    instrument_name: str
    timestamp: Time
    trade_id: str
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


class _DeribitEntry(msgspec.Struct):
    """An entry of the instrument list; combinations of instruments are other kinds, and may have prices below zero."""

    instrument_name: str
    kind: Literal["future", "option", "spot"]
    tick_size: float
    min_trade_amount: float
    base_currency: str
    quote_currency: str
    counter_currency: str = ""
    instrument_type: str = ""
    settlement_period: str = ""
    option_type: str = ""
    is_active: bool = True
    state: str = ""


class _DeribitNamed(msgspec.Struct):
    instrument_name: str = ""


_ERROR = msgspec.json.Decoder(_DeribitError)
_HEAD = msgspec.json.Decoder(DeribitHead)
_BOOK = msgspec.json.Decoder(_DeribitBookMessage)
_QUOTE = msgspec.json.Decoder(_DeribitQuoteMessage)
_TICKER = msgspec.json.Decoder(_DeribitTickerMessage)
_TRADES = msgspec.json.Decoder(_DeribitTradeMessage)
_CHANNELS = msgspec.json.Decoder(list[str])
_ENTRIES = msgspec.json.Decoder(list[msgspec.Raw])
_ENTRY = msgspec.json.Decoder(_DeribitEntry)
_NAMED = msgspec.json.Decoder(_DeribitNamed)
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What the decoder raises for text that is not what it should be."""
_DATE = re.compile(r"([0-9]{1,2})(JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC)([0-9]{2})")
_MONTHS: Final = "JANFEBMARAPRMAYJUNJULAUGSEPOCTNOVDEC"

D = TypeVar("D")


def parse(frame: Frame) -> list[VenueMessage]:
    """Read the messages of one frame; errors as `Exchange.parse`."""
    head = _decoded(_HEAD, frame.raw)
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
    return [_listed(bytes(head.result))] if frame.via is Via.REST else _answered(head)


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
    except _UNREADABLE:
        code = 0
    return Notice(kind_of(code), error.decode(errors="replace")[:MAX_TEXT])


def _unused(name: str) -> Ignored:
    if name in UNUSED:
        return Ignored(name)
    raise UnknownMessage(f"no channel is known by the name {name[:80]!r}")


def _answered(head: DeribitHead) -> list[VenueMessage]:
    """Acknowledge the channels that the venue names, each by itself: one that it leaves out was not accepted."""
    method = METHODS.get(head.id, "") if isinstance(head.id, int) else ""
    if method == "public/set_heartbeat":
        return [Ack(method)]
    if method == "public/test":
        return [Ignored("test")]
    channels = _decoded(_CHANNELS, bytes(head.result))
    return [Ack(f"{method}:{channel}") for channel in channels] or [Ignored("nothing")]


def _read_book(raw: bytes, rest: str) -> list[VenueMessage]:
    symbol, _, grouped = rest.rpartition(".")
    if "." in symbol:  # `X.none.10` of `X.none.10.100ms`: levels in groups, whole each time
        return [Ignored("book_grouped")]
    del grouped
    book = _decoded(_BOOK, raw, Channel.DEPTH, symbol).params.data
    name, time = book.instrument_name, book.timestamp * NS_PER_MS
    bids, asks = _levels(book.bids), _levels(book.asks)
    if book.type == "snapshot" or not book.prev_change_id:  # step 1; until 2019 no message said its type
        return [DepthSnapshot(name, book.change_id, bids, asks, time, SnapshotOrigin.IN_STREAM)]
    return [DepthDelta(name, book.change_id, book.change_id, bids, asks, book.prev_change_id, time)]


def _levels(levels: Sequence[_DeribitLevel]) -> list[tuple[str, str]]:
    return [(_text(level.price), "0" if level.action == "delete" else _text(level.amount)) for level in levels]


def _read_quote(raw: bytes, rest: str) -> list[VenueMessage]:
    quote = _decoded(_QUOTE, raw, Channel.QUOTE, rest).params.data
    bid, ask = (_text(price or 0.0) for price in (quote.best_bid_price, quote.best_ask_price))
    sizes = _text(quote.best_bid_amount or 0.0), _text(quote.best_ask_amount or 0.0)
    return [BestQuote(quote.instrument_name, bid, sizes[0], ask, sizes[1], is_sampled=True)]


def _read_ticker(raw: bytes, rest: str) -> list[VenueMessage]:
    """Read a ticker. Where nothing is to be said of a derivative, as on spot, it is not needed."""
    ticker = _decoded(_TICKER, raw, Channel.DERIVATIVE, rest.rpartition(".")[0]).params.data
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
    return None if number is None else _text(number)


def _read_trades(raw: bytes, rest: str) -> list[VenueMessage]:
    trades = _decoded(_TRADES, raw, Channel.TRADE, rest.rpartition(".")[0]).params.data
    return [_trade(trade) for trade in trades] or [Ignored("nothing")]


def _trade(trade: _DeribitTrade) -> TradeTick | Ignored:
    """Read a trade. Blocks were negotiated; legs of a combination met its book, at a price made of several."""
    if trade.block_trade_id or trade.block_rfq_id:
        return Ignored("trade_block")
    if trade.combo_id or trade.combo_trade_id:
        return Ignored("trade_combo")
    price, amount, time = _text(trade.price), _text(trade.amount), trade.timestamp * NS_PER_MS
    return TradeTick(trade.instrument_name, trade.trade_id, price, amount, trade.direction == "buy", time)


_CHANNELS_READ: Final[dict[str, Callable[[bytes, str], list[VenueMessage]]]] = {
    "book": _read_book,
    "quote": _read_quote,
    "ticker": _read_ticker,
    "trades": _read_trades,
}


@lru_cache(maxsize=CACHED_TEXTS)
def _text(number: float) -> str:
    """Write a number as a plain decimal: the fewest digits that give the same float."""
    text = repr(number)
    if "e" in text:
        text = f"{Decimal(text):f}"
    return text.removesuffix(".0")


def _listed(result: bytes) -> InstrumentList:
    instruments, unreadable = [], []
    entries = _decoded(_ENTRIES, result if result[:1] == b"[" else b"[" + result + b"]", Channel.INSTRUMENTS)
    # One by one: an entry of another shape, of an instrument nobody asked for, must not hide all others.
    for entry in entries:
        try:
            instruments.append(_instrument(_ENTRY.decode(entry)))
        except (*_UNREADABLE, InvalidNumber):
            unreadable.append(_name_of(entry))
    return InstrumentList(tuple(instruments), tuple(unreadable))


def _instrument(entry: _DeribitEntry) -> Instrument:
    status = entry.state if entry.is_active or entry.state not in TRADING else "inactive"
    return Instrument(
        venue=VENUE,
        symbol=entry.instrument_name,
        tick_size=Steps(_text(entry.tick_size)).step,  # the finest: far from the market some are coarser
        lot_size=Steps(_text(entry.min_trade_amount)).step,
        canonical=_canonical(entry),
        contract_kind=_kind(entry),
        trading_status="" if status in TRADING else status[:40],
        is_delisted=status in DELISTED,
    )


def _kind(entry: _DeribitEntry) -> ContractKind:
    if entry.kind == "future":
        is_linear = entry.instrument_type == "linear" if entry.instrument_type else "_" in entry.instrument_name
        return ContractKind.LINEAR if is_linear else ContractKind.INVERSE
    return ContractKind.OPTION if entry.kind == "option" else ContractKind.SPOT


def _canonical(entry: _DeribitEntry) -> str:
    """`BTC-USD-PERP`, `BTC-USD-241227`, `BTC-USD-241227-50000-C`, `BTC-USDC-SPOT`."""
    pair = f"{entry.base_currency}-{entry.counter_currency or entry.quote_currency}"
    if entry.kind == "spot":
        return f"{pair}-SPOT"
    _, *terms = entry.instrument_name.split("-")
    return "-".join([pair, *(_DATE.sub(_dated, term).replace("PERPETUAL", "PERP") for term in terms)])


def _dated(match: re.Match[str]) -> str:
    return f"{match[3]}{_MONTHS.index(match[2]) // 3 + 1:02d}{int(match[1]):02d}"


def _name_of(entry: msgspec.Raw) -> str:
    try:
        return _NAMED.decode(entry).instrument_name
    except _UNREADABLE:
        return ""


def _decoded(decoder: msgspec.json.Decoder[D], text: bytes, channel: Channel | None = None, symbol: str = "") -> D:
    try:
        return decoder.decode(text)
    except msgspec.ValidationError as error:
        if channel is None:
            raise DecodeError(f"not the shape of a frame: {error}") from None
        raise DecodeError(f"not the shape of a {channel}: {error}", channel=channel, symbol=symbol) from None
    except _UNREADABLE as error:
        raise DecodeError(f"not JSON: {error}") from None
