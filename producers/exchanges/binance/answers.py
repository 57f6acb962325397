"""The answers of Binance's REST interfaces: books, instrument lists, open interest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Final, NamedTuple
from urllib.parse import parse_qs, urlsplit

import msgspec

from orderbook.decimals import Steps
from producers.contract import Channel
from producers.decoding import UNREADABLE, Id, Level, decoded, pairs, read_list
from producers.exchanges.binance.times import Time, nanoseconds
from producers.messages import (
    DepthSnapshot,
    DerivativeTick,
    Instrument,
    InstrumentList,
    Notice,
    NoticeKind,
    VenueMessage,
)
from schemas.errors import DecodeError, UnknownMessage
from schemas.messages import ContractKind, Coverage

OPEN_INTEREST: Final = "/openInterest?"
"""In the request whose answer it is."""
TRADING: Final = frozenset({"", "TRADING"})
"""What the instrument list says of one that trades. Others it documents are PRE_TRADING, PENDING_TRADING, POST_TRADING,
END_OF_DAY, AUCTION_MATCH, HALT, BREAK, CANCEL_ONLY, PRE_DELIVERING, DELIVERING, PRE_SETTLE and SETTLING."""
DELISTED: Final = frozenset({"DELIVERED", "CLOSE", "DELISTED"})
"""What it says of one that will not trade again."""
MAX_STATUS: Final = 40
TOO_MANY: Final = frozenset({-1003, -1034})
"""Codes of an error that is about how often this address asks or connects, whatever status it comes with."""
UNAVAILABLE: Final = frozenset({-1000, -1001, -1006, -1007, -1008, -1016})
"""Codes of an error that is the venue's own: disconnected, timed out, overloaded, shutting down."""


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
    bids: list[Level]  # type: ignore[assignment]
    asks: list[Level]  # type: ignore[assignment]


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
    contractSize: Annotated[int, msgspec.Meta(gt=0)] | None = None  # noqa: N815 (the venue's name)


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


_REST = msgspec.json.Decoder(_Rest)
_SNAPSHOT = msgspec.json.Decoder(_Snapshot)
_LONG_SNAPSHOT = msgspec.json.Decoder(_LongSnapshot)
_ENTRIES = msgspec.json.Decoder(list[msgspec.Raw])
_LISTED = msgspec.json.Decoder(ListedInstrument)
_RATE_LIMITS = msgspec.json.Decoder(list[_RateLimit])


def parse_answer(frame: bytes, request: str, dialect: Dialect) -> VenueMessage:
    """Read the answer to a request; errors as `Exchange.parse`."""
    channel = Channel.DERIVATIVE if OPEN_INTEREST in request else Channel.SNAPSHOT
    head = decoded(_REST, frame, channel, _requested_symbol(request) or "")
    if head.openInterest is not None:
        time = None if head.time is None else nanoseconds(head.time, Channel.DERIVATIVE, head.symbol)
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
            None if time is None else nanoseconds(time, Channel.SNAPSHOT, symbol or ""),
            coverage=Coverage.RANGE,  # so many levels at most; not even of a short side does it say that this is all
        )
    if head.symbols:
        return _listed(bytes(head.symbols), bytes(head.rateLimits), dialect)
    if head.code is not None:
        return refusal(head.code, f"{head.code} {head.msg}")
    raise UnknownMessage("neither a depth snapshot nor an instrument list")


def refusal(code: int | None, detail: str) -> Notice:
    """Say what is refused: this request, or whoever asks so often."""
    kind = NoticeKind.UNAVAILABLE if code in UNAVAILABLE else NoticeKind.REFUSED
    return Notice(NoticeKind.TOO_MANY if code in TOO_MANY else kind, detail[:500])


def _whole(frame: bytes, symbol: str) -> _Snapshot:
    try:
        return decoded(_SNAPSHOT, frame, Channel.SNAPSHOT, symbol)
    except DecodeError:
        try:
            long = _LONG_SNAPSHOT.decode(frame)
        except UNREADABLE:
            long = None
        if long is None:
            raise
    return _Snapshot(long.lastUpdateId, pairs(long.bids), pairs(long.asks), long.E, long.T, long.symbol)


def _requested_symbol(request: str) -> str | None:
    return next(iter(parse_qs(urlsplit(request).query).get("symbol", [])), None)


def _listed(entries: bytes, limits: bytes, dialect: Dialect) -> InstrumentList:
    listed = decoded(_ENTRIES, entries, Channel.INSTRUMENTS)
    found = read_list(listed, lambda entry: _instrument(_LISTED.decode(entry), dialect), named_by="symbol")
    return msgspec.structs.replace(found, weight_per_minute=_weight_per_minute(limits))


def _weight_per_minute(limits: bytes) -> int | None:
    if not limits:
        return None
    try:
        rules = _RATE_LIMITS.decode(limits)
    except UNREADABLE:
        return 0  # no limit that could be meant: the list itself is none the worse for it
    for rule in rules:
        if (rule.rateLimitType, rule.interval, rule.intervalNum) == ("REQUEST_WEIGHT", "MINUTE", 1):
            return rule.limit
    return None


def _instrument(entry: ListedInstrument, dialect: Dialect) -> Instrument:
    if dialect.contract_kind is ContractKind.INVERSE and entry.contractSize is None:  # its notional is not known
        raise DecodeError("an inverse contract without its size")
    # pricePrecision and quantityPrecision are for display; the grid is in the filters.
    status = entry.status or entry.contractStatus
    filters = {str(rule.get("filterType")): rule for rule in entry.filters}
    return Instrument(
        venue=dialect.venue,
        symbol=entry.symbol,
        tick_size=Steps(str(filters["PRICE_FILTER"]["tickSize"])).step,
        lot_size=Steps(str(filters["LOT_SIZE"]["stepSize"])).step,
        canonical=dialect.canonical(entry),
        contract_value=str(entry.contractSize or 1),
        contract_kind=dialect.contract_kind,
        trading_status="" if status in TRADING else status[:MAX_STATUS],
        is_delisted=status in DELISTED,
    )
