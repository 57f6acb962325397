"""Records as a producer writes them, and two cheap changes a replay makes to them."""

from __future__ import annotations

from typing import NamedTuple

from msgspec.structs import replace

from orderbook.decimals import SideLevels, TextGrid
from producers.messages import Instrument
from schemas.errors import MessageError
from schemas.messages import (
    MAX_PAYLOAD_BYTES,
    DeadLetter,
    FeedState,
    FeedStatus,
    Kind,
    L2Record,
    Reason,
    Source,
    TradeRecord,
)

NO_LEVELS = SideLevels([], [])

MAX_LEVELS = 400_000
"""Levels of a record, both sides together. A level takes up to 20 bytes on the wire, so that the largest record, with
all trades that may wait for it, stays below what the broker takes (8 MiB): a test holds it to that."""


class Times(NamedTuple):
    """Both times of a record, ns UTC."""

    exchange_ns: int | None
    received_ns: int


class Links(NamedTuple):
    """Where a record belongs in its stream, or why the stream broke there."""

    epoch: int
    sequence: int
    previous_sequence: int | None
    reason: Reason | None


class BookLevels(NamedTuple):
    """What a record carries, in ticks and lots."""

    bids: SideLevels
    asks: SideLevels
    trades: SideLevels


class RecordWriter(NamedTuple):
    """Writes the records of one instrument."""

    instrument: Instrument
    source: Source

    def l2(self, kind: Kind, links: Links, times: Times, grid: TextGrid, levels: BookLevels) -> L2Record:
        """Write an update of the book."""
        return L2Record(
            venue=self.instrument.venue,
            symbol=self.instrument.symbol,
            source=self.source,
            kind=kind,
            epoch=links.epoch,
            sequence=links.sequence,
            received_ns=times.received_ns,
            tick_size=grid.price.step,
            lot_size=grid.size.step,
            reason=links.reason,
            previous_sequence=links.previous_sequence,
            exchange_ns=times.exchange_ns,
            contract_value=self.instrument.contract_value,
            contract_kind=self.instrument.contract_kind,
            bid_ticks=levels.bids.ticks,
            bid_lots=levels.bids.lots,
            ask_ticks=levels.asks.ticks,
            ask_lots=levels.asks.lots,
            trade_ticks=levels.trades.ticks,
            trade_lots=levels.trades.lots,
        )

    def trade(self, trade_id: str, ticks: int, lots: int, times: Times, grid: TextGrid) -> TradeRecord:
        """Write a trade; `lots` is signed, positive where the buyer was the aggressor."""
        return TradeRecord(
            venue=self.instrument.venue,
            symbol=self.instrument.symbol,
            source=self.source,
            trade_id=trade_id,
            received_ns=times.received_ns,
            tick_size=grid.price.step,
            lot_size=grid.size.step,
            price_ticks=ticks,
            size_lots=lots,
            exchange_ns=times.exchange_ns,
            contract_value=self.instrument.contract_value,
            contract_kind=self.instrument.contract_kind,
        )

    def status(self, state: FeedState, links: Links, received_ns: int, *, heartbeat: bool, detail: str) -> FeedStatus:
        """Write the state of the feed; there is no sequence before the first epoch."""
        return FeedStatus(
            venue=self.instrument.venue,
            symbol=self.instrument.symbol,
            source=self.source,
            state=state,
            epoch=links.epoch,
            received_ns=received_ns,
            reason=links.reason,
            sequence=links.sequence if links.epoch else None,
            heartbeat=heartbeat,
            detail=detail,
        )

    def letter(self, error: MessageError, sequence: int, payload: bytes, received_ns: int) -> DeadLetter:
        """Write what was read, waited, and then could not be used; `payload` is what it said."""
        venue, symbol = self.instrument.venue, self.instrument.symbol
        return DeadLetter(
            letter_id=f"{venue}:{symbol}:{received_ns}:{sequence}",
            role="producer",
            reason=error.reason,
            error=str(error),
            received_ns=received_ns,
            payload=payload[:MAX_PAYLOAD_BYTES],
            payload_bytes=len(payload),
            venue=venue,
            symbol=symbol,
        )


ProducerRecord = L2Record | TradeRecord | FeedStatus | DeadLetter
"""Everything a producer publishes."""


def shifted(record: ProducerRecord, shift_ns: int) -> ProducerRecord:
    """Add a constant to both times of a record: no other value depends on it."""
    if isinstance(record, FeedStatus | DeadLetter):
        return replace(record, received_ns=record.received_ns + shift_ns)
    exchange_ns = None if record.exchange_ns is None else record.exchange_ns + shift_ns
    return replace(record, received_ns=record.received_ns + shift_ns, exchange_ns=exchange_ns)


def renamed(record: ProducerRecord, symbol: str) -> ProducerRecord:
    """Give a record to another instrument: how one recording becomes many. A dead letter stays its own letter."""
    if isinstance(record, DeadLetter):
        return replace(record, symbol=symbol, letter_id=f"{record.letter_id}:{symbol}")
    return replace(record, symbol=symbol)
