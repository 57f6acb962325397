"""Short ways to write a venue's messages and look at what came of them."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from itertools import count

from orderbook.decimals import SideLevels, TextGrid
from producers.books.options import StreamOptions
from producers.books.records import MAX_LEVELS, RecordWriter
from producers.books.stream import InstrumentStream
from producers.books.trades import MAX_PENDING_TRADES
from producers.exchanges.binance.rules import BinanceFuturesRule
from producers.messages import DepthDelta, DepthSnapshot, Frame, Instrument, TradeTick, Via
from schemas.bounds import LATEST_NS, NS_PER_MS
from schemas.messages import ContractKind, FeedState, FeedStatus, Kind, L2Record, Reason, Source, TradeRecord

SECOND = 1_000_000_000
BTC = Instrument("binance-futures", "BTCUSDT", "0.1", "0.001", contract_kind=ContractKind.LINEAR)
Pairs = Iterable[tuple[str, str]]
_numbers = count(1_000_000)


def stream(**options: object) -> InstrumentStream:
    return InstrumentStream(BTC, BinanceFuturesRule(), StreamOptions(**options))  # type: ignore[arg-type]


def delta(first: int, last: int, previous: int, bids: Pairs = (), asks: Pairs = (), at: int = 0) -> DepthDelta:
    """An update, its venue time rising with its ids unless said otherwise."""
    return DepthDelta("BTCUSDT", first, last, list(bids), list(asks), previous, at or last * 1_000_000)


def snapshot(sequence: int, bids: Pairs = (("100.0", "1"),), asks: Pairs = (("100.1", "1"),)) -> DepthSnapshot:
    return DepthSnapshot("BTCUSDT", sequence, list(bids), list(asks), sequence * 1_000_000)


def trade(price: str = "100.0", size: str = "0.5", *, buyer: bool = True, number: int | None = None) -> TradeTick:
    """A trade, another one each time unless it is numbered."""
    return TradeTick("BTCUSDT", str(next(_numbers) if number is None else number), price, size, buyer, 1)


def live_stream(**options: object) -> InstrumentStream:
    """A stream whose book is LIVE at sequence 110, received at 2 s."""
    made = stream(**options)
    made.on_delta(delta(95, 110, 94), SECOND)
    made.on_snapshot(snapshot(100), 2 * SECOND)
    assert made.is_live
    return made


def fork(stream: InstrumentStream) -> InstrumentStream:
    """An independent copy of a stream: what changes is copied, what does not is shared."""
    fixed = [stream.instrument, stream._chain._rule, stream.kept.listed, stream.kept.grid]
    quotes = [quote for _, quote in stream.quotes._quotes]
    return deepcopy(stream, {id(item): item for item in (*fixed, *quotes)})


def largest_record() -> L2Record:
    """As many levels and trades as a record may carry, each number as long on the wire as a number can be."""
    top = 2**63 - 1
    half = SideLevels([top] * (MAX_LEVELS // 2), [top] * (MAX_LEVELS // 2))
    trades = SideLevels([top] * MAX_PENDING_TRADES, [-top] * MAX_PENDING_TRADES)
    writer = RecordWriter(BTC, Source.LIVE, TextGrid.of("0.1", "0.1"), LATEST_NS // NS_PER_MS, top)
    return writer.l2(Kind.DELTA, top, top, bids=half, asks=half, trades=trades, previous_sequence=top)


def framed(raw: bytes, via: Via = Via.WS, at: int = 0, *, connection: str = "", request: str = "") -> Frame:
    """Bytes as they came."""
    return Frame(at, via, connection, request, raw)


def l2(records: Iterable[object]) -> list[L2Record]:
    return [record for record in records if isinstance(record, L2Record)]


def kinds(records: Iterable[object]) -> list[tuple[Kind, int, Reason | None]]:
    """The L2 records, short: kind, sequence, reason."""
    return [(record.kind, record.sequence, record.reason) for record in l2(records)]


def states(records: Iterable[object]) -> list[tuple[FeedState, Reason | None]]:
    """The feed's states that were told."""
    return [(record.state, record.reason) for record in records if isinstance(record, FeedStatus)]


def trades(records: Iterable[object]) -> list[TradeRecord]:
    return [record for record in records if isinstance(record, TradeRecord)]
