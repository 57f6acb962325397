"""Messages in the four shapes that tutorials and resellers use for Tardis's data, read by one tolerant reader.

| shape | whole book | change | levels |
|---|---|---|---|
| 1 | `l2snapshot` | `l2update` | `data.bids: [{price, quantity}]` |
| 2 | `orderbook_snapshot` | `orderbook_update` | `data.bids: [[price, size]]`, perhaps `seq` |
| 3 | `book`, each time | – | `bids: [[price, size]]` |
| 4 | `snapshot` | `delta` | `bids` as objects, or `b` and `a` as pairs; `update_id` |

`trade` is a trade, `funding` is counted. Numbers may be text. None of these is documented by a venue: what is not there
is not guessed. A book is known as far as its worst level, since it is cut to a depth that no message tells.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Final

import msgspec

from producers.contract import Channel, FrameReader
from producers.messages import (
    UNNUMBERED,
    DepthDelta,
    DepthSnapshot,
    Frame,
    Ignored,
    SnapshotOrigin,
    TradeTick,
    VenueMessage,
)
from producers.tardis.decoding import UNREADABLE, decimal_text
from producers.tardis.machine import iso_ns
from producers.tardis.rules import ArrivalRule
from schemas.bounds import INT64_MAX
from schemas.errors import DecodeError, UnknownMessage
from schemas.messages import ContractKind, Coverage
from schemas.units import NS_PER_MS, NS_PER_SECOND, NS_PER_US

WHOLE: Final = frozenset({"l2snapshot", "orderbook_snapshot", "book", "snapshot"})
CHANGE: Final = frozenset({"l2update", "orderbook_update", "delta"})
BOOKS: Final = WHOLE | CHANGE
UNITS: Final = {10: NS_PER_SECOND, 13: NS_PER_MS, 16: NS_PER_US, 19: 1}
"""What a time of so many digits is in, ns."""


class _ShapeLevel(msgspec.Struct, gc=False):
    price: Decimal
    quantity: Decimal | None = None
    amount: Decimal | None = None
    size: Decimal | None = None


_Side = list[list[Decimal] | _ShapeLevel]
_Id = Annotated[int, msgspec.Meta(ge=0, le=INT64_MAX)]


class _ShapeBody(msgspec.Struct, gc=False):
    symbol: str = ""
    bids: _Side | None = None
    asks: _Side | None = None
    b: _Side | None = None
    a: _Side | None = None
    seq: _Id | None = None
    update_id: _Id | None = None
    timestamp: int | str | None = None
    local_timestamp: int | str | None = None
    id: int | str | None = None
    trade_id: int | str | None = None
    side: str = ""
    price: Decimal | None = None
    quantity: Decimal | None = None
    amount: Decimal | None = None
    size: Decimal | None = None


class _Shape(_ShapeBody, gc=False):
    type: str = ""
    data: _ShapeBody | None = None


class _ShapeNamed(msgspec.Struct, gc=False):
    symbol: str = ""


class _ShapeHead(_ShapeNamed, gc=False):
    """Enough of a message to say what it is, whatever is wrong with the rest."""

    type: str = ""
    data: _ShapeNamed | None = None


_SHAPE = msgspec.json.Decoder(_Shape)
_HEAD = msgspec.json.Decoder(_ShapeHead)


class ShapesReader:
    """Reads messages of any of the shapes as frames of a venue; see `producers.contract.FrameReader`.

    Args:
        venue: The venue whose data they are.
        symbol: The instrument of messages that name none.
        is_chain: Whether `seq` or `update_id` rises by one, so that it tells of what is missing; else it is left out.
    """

    sequence = ArrivalRule()
    checksum = None
    shares_update_ids = False
    deltas = None

    def __init__(self, venue: FrameReader, symbol: str = "", *, is_chain: bool = False) -> None:
        self.venue = venue.venue
        self._venue = venue
        self._symbol = symbol
        self._is_chain = is_chain

    def contract_kind(self, symbol: str) -> ContractKind:
        """Tell it from the name, as the venue does."""
        return self._venue.contract_kind(symbol)

    def parse(self, frame: Frame) -> list[VenueMessage]:
        """Read one message."""
        try:
            shape = _decoded(frame.raw)
        except DecodeError as error:
            raise DecodeError(error.cause, **self._of(frame.raw)) from None
        body = shape.data or shape
        symbol = body.symbol or shape.symbol or self._symbol
        if shape.type in BOOKS:
            return [self._book(shape, body, symbol)]
        if shape.type == "trade":
            return [_trade(shape, body, symbol)]
        if shape.type == "funding":
            return [Ignored("funding")]
        raise UnknownMessage(f"no message is known by the type {shape.type[:80]!r}")

    def _of(self, raw: bytes) -> dict[str, str]:
        """Tell what a damaged message was part of, as far as it says."""
        try:
            head = _HEAD.decode(raw)
        except UNREADABLE:
            return {}
        named = head.data.symbol if head.data else ""
        channel = Channel.DEPTH if head.type in BOOKS else Channel.TRADE if head.type == "trade" else ""
        where = {"channel": channel, "symbol": named or head.symbol or self._symbol}
        return {name: value for name, value in where.items() if value} if channel else {}

    def _book(self, shape: _Shape, body: _ShapeBody, symbol: str) -> VenueMessage:
        try:
            bids, asks, time = _levels(body.bids, body.b), _levels(body.asks, body.a), time_ns(body, shape)
            if not symbol:
                raise DecodeError("it names no instrument")
        except DecodeError as error:
            raise DecodeError(error.cause, channel=Channel.DEPTH, symbol=symbol) from None
        number = self._number(shape, body)
        if shape.type in WHOLE:
            return DepthSnapshot(symbol, number, bids, asks, time, SnapshotOrigin.IN_STREAM, coverage=Coverage.TOP_N)
        previous = None if number == UNNUMBERED else number - 1
        return DepthDelta(symbol, number, number, bids, asks, previous, time)

    def _number(self, shape: _Shape, body: _ShapeBody) -> int:
        given = (body.seq, body.update_id, shape.seq, shape.update_id)
        number = next((one for one in given if one is not None), None)
        return UNNUMBERED if number is None or not self._is_chain else number


def shape_received_ns(raw: bytes) -> int | None:
    """Read when a message of a file was received: its local_timestamp, else its timestamp; None where it is no shape.

    Raises:
        DecodeError: It says when, but not so that it can be read.
    """
    try:
        shape = _decoded(raw)
    except DecodeError:
        return None
    if shape.type not in BOOKS | {"trade", "funding"}:
        return None
    local = shape.local_timestamp or (shape.data and shape.data.local_timestamp)
    return moment_ns(local) if local else time_ns(shape.data or shape, shape)


def time_ns(*bodies: _ShapeBody) -> int | None:
    """Read the first time that is there, of ISO 8601 or of so many digits as `UNITS` knows; None where there is none.

    Raises:
        DecodeError: It is neither.
    """
    time = next((body.timestamp for body in bodies if body.timestamp is not None), None)
    return None if time is None else moment_ns(time)


def moment_ns(time: int | str) -> int:
    """Read a moment, of ISO 8601 or of so many digits as `UNITS` knows.

    Raises:
        DecodeError: It is neither.
    """
    digits = str(time)
    if not (digits.isascii() and digits.isdigit()):
        return iso_ns(digits)
    if len(digits) not in UNITS:
        raise DecodeError(f"a time of {len(digits)} digits")
    if (time_ns := int(digits) * UNITS[len(digits)]) > INT64_MAX:
        raise DecodeError(f"a time of {time_ns} ns, beyond int64")
    return time_ns


def _decoded(raw: bytes) -> _Shape:
    try:
        return _SHAPE.decode(raw)
    except UNREADABLE as error:
        raise DecodeError(f"none of the shapes: {error}") from None


def _levels(*sides: _Side | None) -> list[tuple[str, str]]:
    """Read a side by whichever name it has; one that is not there changes nothing."""
    side = next((one for one in sides if one is not None), [])
    return [_level(level) for level in side]


def _level(level: Sequence[Decimal] | _ShapeLevel) -> tuple[str, str]:
    if not isinstance(level, _ShapeLevel):
        if len(level) < 2:
            raise DecodeError("a level of less than two numbers")
        return decimal_text(level[0]), decimal_text(level[1])
    return decimal_text(level.price), decimal_text(_size(level))


def _size(whose: _ShapeLevel | _ShapeBody) -> Decimal:
    found = next((size for size in (whose.quantity, whose.amount, whose.size) if size is not None), None)
    if found is None:
        raise DecodeError("neither quantity, amount nor size")
    return found


def _trade(shape: _Shape, body: _ShapeBody, symbol: str) -> VenueMessage:
    side = body.side.lower()
    if side not in ("buy", "sell"):
        return Ignored("trade_without_side")
    try:
        if body.price is None or not symbol:
            raise DecodeError("it names no price or no instrument")
        number = next((str(one) for one in (body.trade_id, body.id) if one is not None), "")
        price, size = decimal_text(body.price), decimal_text(_size(body))
        return TradeTick(symbol, number, price, size, side == "buy", time_ns(body, shape))
    except DecodeError as error:
        raise DecodeError(error.cause, channel=Channel.TRADE, symbol=symbol) from None
