"""The CSV datasets of Tardis: which one a header is of, and rows as messages. Numbers stay the text they are.

| dataset | a row is | what becomes of it |
|---|---|---|
| `incremental_book_L2` | a level | of one message: `DepthSnapshot` where is_snapshot, else `DepthDelta` |
| `book_snapshot_5`, `_25` | the best levels of a book | `DepthSnapshot`, known as far as its worst level |
| `quotes`, `book_ticker` | the best bid and ask | `DepthSnapshot` of one level a side |
| `trades` | a trade; the side is the taker's | `TradeTick`; one whose side is unknown is counted apart |
| `derivative_ticker` | what was told of a derivative | `DerivativeTick`; one without a value is counted |
| `liquidations` | – | counted |

Times are µs since 1970; an empty one is not known. There are no ids of updates (`producers.tardis.rules`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from orderbook.decimals import Levels
from producers.contract import Channel, FrameReader
from producers.messages import (
    UNNUMBERED,
    DepthDelta,
    DepthSnapshot,
    DerivativeTick,
    Frame,
    Ignored,
    SnapshotOrigin,
    TradeTick,
    VenueMessage,
)
from producers.tardis.decoding import plain_decimal
from producers.tardis.rules import ArrivalRule
from producers.tardis.venues import COVERAGE, VENUES
from schemas.bounds import INT64_MAX
from schemas.errors import DecodeError
from schemas.messages import ContractKind, Coverage
from schemas.units import NS_PER_US

Row = Sequence[str]
ReadRows = Callable[[Sequence[Row]], list[VenueMessage]]

HEAD: Final = ("exchange", "symbol", "timestamp", "local_timestamp")
"""Columns that each dataset begins with."""
NAMES: Final = (
    "incremental_book_L2",
    "book_snapshot_5",
    "book_snapshot_25",
    "quotes",
    "trades",
    "derivative_ticker",
    "liquidations",
)
US_DIGITS: Final = 16
"""Digits of a time in µs, from 2001 to 2286."""
MAX_US: Final = INT64_MAX // NS_PER_US
"""Of a time, so that its nanoseconds are int64: in 2262."""


class Dataset(NamedTuple):
    """One kind of file.

    Attributes:
        name: As Tardis calls it.
        columns: How many.
        has_snapshots: Whether the fifth column tells whole books from changes.
        read: Reads rows that came as one message.
    """

    name: str
    columns: int
    has_snapshots: bool
    read: ReadRows


def dataset_of(header: str, name: str = "") -> Dataset:
    """Tell which dataset a header is of.

    Args:
        header: The first line.
        name: The file's name: liquidations have the columns of trades, and only it tells them apart.

    Raises:
        DecodeError: Of none.
    """
    columns = tuple(header.split(","))
    known = _KNOWN.get(columns[len(HEAD) :]) if columns[: len(HEAD)] == HEAD else None
    if known is not None and known[0] == "trades" and "liquidations" in name:
        known = ("liquidations", _ignored("liquidation"))
    if known is not None:
        return Dataset(known[0], len(columns), known[0] == L2, known[1])
    levels = (len(columns) - len(HEAD)) // 4
    if levels and columns == (*HEAD, *_level_columns(levels)):
        return Dataset(f"book_snapshot_{levels}", len(columns), False, _read_books)
    raise DecodeError("the header is none of a dataset of Tardis")


class DatasetReader:
    """Reads rows of one dataset as frames of a venue; see `producers.contract.FrameReader`.

    Args:
        venue: The venue whose data they are.
        dataset: Which dataset.
    """

    sequence = ArrivalRule()
    checksum = None
    shares_update_ids = False
    deltas = None

    def __init__(self, venue: FrameReader, dataset: Dataset) -> None:
        self.venue = venue.venue
        self._contract_kind = venue.contract_kind
        self._dataset = dataset

    def contract_kind(self, symbol: str) -> ContractKind:
        """Tell it from the name, as the venue does: no list of instruments comes with a dataset."""
        return self._contract_kind(symbol)

    def parse(self, frame: Frame) -> list[VenueMessage]:
        """Read the rows of one message, without a header."""
        try:
            lines = frame.raw.decode().split("\n")
        except UnicodeDecodeError as error:
            raise DecodeError(f"not UTF-8: {error}") from None
        rows = [line.split(",") for line in lines if line]
        if not rows or any(len(row) != self._dataset.columns for row in rows):
            raise DecodeError(f"not rows of {self._dataset.columns} columns, as {self._dataset.name} has")
        return self._dataset.read(rows)


def time_ns(text: str) -> int | None:
    """Read a time in µs as ns; None where there is none.

    Raises:
        DecodeError: Not a time in µs: nine more digits, or three fewer, are another unit.
    """
    if not text:
        return None
    if len(text) != US_DIGITS or not text.isdigit() or not text.isascii() or int(text) > MAX_US:
        raise DecodeError(f"{text[:40]!r} is no time in µs")
    return int(text) * NS_PER_US


def _read_changes(rows: Sequence[Row]) -> list[VenueMessage]:
    """Read the levels of one message: a whole book, or what changed in it."""
    exchange, symbol, _, _, flag, *_ = rows[0]
    try:
        exchange_ns = time_ns(rows[-1][2])
        bids, asks = _sides(rows)
        if flag == "true":
            return [_book(symbol, bids, asks, exchange_ns, _coverage(exchange))]
        if flag == "false":
            return [DepthDelta(symbol, UNNUMBERED, UNNUMBERED, bids, asks, exchange_ns=exchange_ns)]
        raise DecodeError(f"is_snapshot is {flag[:40]!r}, neither true nor false")
    except DecodeError as error:
        raise DecodeError(error.cause, channel=Channel.DEPTH, symbol=symbol) from None


def _coverage(exchange: str) -> Coverage:
    return COVERAGE.get(VENUES.get(exchange, ""), Coverage.WHOLE)


def _sides(rows: Sequence[Row]) -> tuple[Levels, Levels]:
    sides: dict[str, list[tuple[str, str]]] = {"bid": [], "ask": []}
    for *_, side, price, amount in rows:
        if side not in sides:
            raise DecodeError(f"a side is {side[:40]!r}, neither bid nor ask")
        sides[side].append((plain_decimal(price), plain_decimal(amount)))
    return sides["bid"], sides["ask"]


def _read_books(rows: Sequence[Row]) -> list[VenueMessage]:
    return [_best_levels(row, row[len(HEAD) :: 4], row[len(HEAD) + 1 :: 4], row[6::4], row[7::4]) for row in rows]


def _read_quotes(rows: Sequence[Row]) -> list[VenueMessage]:
    return [_best_levels(row, row[5:6], row[4:5], row[6:7], row[7:8]) for row in rows]


def _best_levels(row: Row, asks: Row, ask_sizes: Row, bids: Row, bid_sizes: Row) -> DepthSnapshot:
    """Read a row that is a book; a level whose cells are empty is not there."""
    try:
        exchange_ns = time_ns(row[2])
    except DecodeError as error:
        raise DecodeError(error.cause, channel=Channel.DEPTH, symbol=row[1]) from None
    below, above = _levels(bids, bid_sizes), _levels(asks, ask_sizes)
    return _book(row[1], below, above, exchange_ns, Coverage.TOP_N)


def _levels(prices: Row, sizes: Row) -> Levels:
    return [(plain_decimal(price), plain_decimal(size)) for price, size in zip(prices, sizes, strict=True) if price]


def _book(symbol: str, bids: Levels, asks: Levels, exchange_ns: int | None, coverage: Coverage) -> DepthSnapshot:
    origin = SnapshotOrigin.IN_STREAM
    return DepthSnapshot(symbol, UNNUMBERED, bids, asks, exchange_ns, origin, coverage=coverage)


def _read_trades(rows: Sequence[Row]) -> list[VenueMessage]:
    return [_trade(row) for row in rows]


def _trade(row: Row) -> TradeTick | Ignored:
    _, symbol, time, _, trade_id, side, price, amount = row
    if side == "unknown":
        return Ignored("trade_without_side")
    if side not in ("buy", "sell"):
        raise DecodeError(f"a side is {side[:40]!r}, none of a trade", channel=Channel.TRADE, symbol=symbol)
    return TradeTick(symbol, trade_id, plain_decimal(price), plain_decimal(amount), side == "buy", time_ns(time))


def _read_tickers(rows: Sequence[Row]) -> list[VenueMessage]:
    return [_ticker(row) for row in rows]


def _ticker(row: Row) -> DerivativeTick | Ignored:
    """Read a row of what was told last; an empty cell is no value, and a predicted rate is no rate."""
    _, symbol, time, _, next_time, rate, _, interest, _, index, mark = row
    try:
        exchange_ns, next_ns = time_ns(time), time_ns(next_time)
    except DecodeError as error:
        raise DecodeError(error.cause, channel=Channel.DERIVATIVE, symbol=symbol) from None
    numbers = (plain_decimal(text) or None for text in (rate, mark, index, interest))
    funding_rate, mark_price, index_price, open_interest = numbers
    tick = DerivativeTick(symbol, exchange_ns, funding_rate, next_ns, None, mark_price, index_price, open_interest)
    return Ignored("derivative_ticker") if tick.tells_nothing else tick


def _ignored(kind: str) -> ReadRows:
    return lambda rows: [Ignored(kind)] * len(rows)


def _level_columns(levels: int) -> list[str]:
    return [
        f"{side}[{number}].{what}"
        for number in range(levels)
        for side in ("asks", "bids")
        for what in ("price", "amount")
    ]


L2: Final = "incremental_book_L2"
_TICKER: Final = "funding_timestamp,funding_rate,predicted_funding_rate,open_interest,last_price,index_price,mark_price"
_KNOWN: Final[dict[tuple[str, ...], tuple[str, ReadRows]]] = {
    ("is_snapshot", "side", "price", "amount"): (L2, _read_changes),
    ("id", "side", "price", "amount"): ("trades", _read_trades),
    ("ask_amount", "ask_price", "bid_price", "bid_amount"): ("quotes", _read_quotes),
    tuple(_TICKER.split(",")): ("derivative_ticker", _read_tickers),
}
"""By the columns behind `HEAD`."""
