"""Records as a producer writes them, and two cheap changes a replay makes to them."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
from msgspec.structs import replace

from orderbook.decimals import Placed, SideLevels, TextGrid, plain, plain_signed
from orderbook.known import WHOLE, Known
from producers.books.quote_flow import NOT_KNOWN, QuoteFlow
from producers.messages import DerivativeTick, Instrument, TradeTick
from schemas.bounds import MAX_LEVELS as MAX_LEVELS
from schemas.codec import decode_as, encode
from schemas.dead_letters import letter_about_frame
from schemas.errors import MessageError
from schemas.messages import (
    DeadLetter,
    DerivativeRecord,
    FeedQuality,
    FeedState,
    FeedStatus,
    InstrumentKey,
    Kind,
    L2Record,
    Reason,
    SequenceSource,
    Source,
    TradeRecord,
)

ROLE = "producer"
"""Who refuses frames and requests, in a dead letter."""
NO_LEVELS = SideLevels([], [])


@dataclass
class RecordWriter:
    """Writes the records of one instrument.

    Attributes:
        instrument: The instrument.
        source: Written into every record.
        epoch: The current epoch; 0 before the first.
        grid: The grid of the book.
        exchange_ns: The venue's time of the book, null where it gave none.
        received_ns: Of the last L2 record; it never falls.
        run: Written into every record.
        known: How far the book is known, as its snapshots say.
        sequence_source: Whose numbers its updates have, as its snapshots say.
    """

    instrument: Instrument
    source: Source
    grid: TextGrid
    epoch: int = 0
    exchange_ns: int | None = None
    received_ns: int = 0
    run: str = ""
    known: Known = WHOLE
    sequence_source: SequenceSource = SequenceSource.VENUE

    def l2(
        self,
        kind: Kind,
        sequence: int,
        received_ns: int,
        *,
        bids: SideLevels = NO_LEVELS,
        asks: SideLevels = NO_LEVELS,
        trades: SideLevels = NO_LEVELS,
        previous_sequence: int | None = None,
        reason: Reason | None = None,
        quotes: QuoteFlow = NOT_KNOWN,
    ) -> L2Record:
        """Write an update of the book."""
        self.received_ns = max(self.received_ns, received_ns)
        known = self.known if kind is Kind.SNAPSHOT else None
        return L2Record(
            venue=self.instrument.venue,
            symbol=self.instrument.symbol,
            source=self.source,
            kind=kind,
            epoch=self.epoch,
            sequence=sequence,
            received_ns=self.received_ns,
            tick_size=self.grid.price.step,
            lot_size=self.grid.size.step,
            reason=reason,
            previous_sequence=previous_sequence,
            exchange_ns=self.exchange_ns,
            contract_value=self.instrument.contract_value,
            contract_kind=self.instrument.contract_kind,
            coverage=known and known.coverage,
            bid_known_ticks=known and known.bid,
            ask_known_ticks=known and known.ask,
            bid_ticks=bids.ticks,
            bid_lots=bids.lots,
            ask_ticks=asks.ticks,
            ask_lots=asks.lots,
            trade_ticks=trades.ticks,
            trade_lots=trades.lots,
            quote_flow_lots=quotes.lots,
            quote_events=quotes.events,
            run=self.run,
            sequence_source=self.sequence_source,
        )

    def trade(self, trade: TradeTick, placed: Placed, received_ns: int) -> TradeRecord:
        """Write a trade that lies on a grid of its own."""
        return TradeRecord(
            venue=self.instrument.venue,
            symbol=self.instrument.symbol,
            source=self.source,
            trade_id=trade.trade_id,
            received_ns=received_ns,
            tick_size=placed.grid.price.step,
            lot_size=placed.grid.size.step,
            price_ticks=placed.bids.ticks[0],
            size_lots=placed.bids.lots[0] if trade.buyer_is_aggressor else -placed.bids.lots[0],
            exchange_ns=trade.exchange_ns,
            contract_value=self.instrument.contract_value,
            contract_kind=self.instrument.contract_kind,
            run=self.run,
        )

    def derivative(self, tick: DerivativeTick, received_ns: int) -> DerivativeRecord:
        """Write what a message told of a derivative.

        Raises:
            InvalidNumber: One of its numbers may not be used.
        """
        return DerivativeRecord(
            venue=self.instrument.venue,
            symbol=self.instrument.symbol,
            source=self.source,
            received_ns=received_ns,
            exchange_ns=tick.exchange_ns,
            funding_rate=None if tick.funding_rate is None else plain_signed(tick.funding_rate),
            next_funding_ns=tick.next_funding_ns,
            funding_interval_s=tick.funding_interval_s,
            mark_price=_amount(tick.mark_price),
            index_price=_amount(tick.index_price),
            open_interest=_amount(tick.open_interest),
            contract_value=self.instrument.contract_value,
            contract_kind=self.instrument.contract_kind,
            run=self.run,
        )

    def status(
        self, state: FeedState, reason: Reason | None, sequence: int, received_ns: int, *, heartbeat: bool, detail: str
    ) -> FeedStatus:
        """Write the state of the feed; there is no sequence before the first epoch."""
        return FeedStatus(
            venue=self.instrument.venue,
            symbol=self.instrument.symbol,
            source=self.source,
            state=state,
            epoch=self.epoch,
            received_ns=received_ns,
            reason=reason,
            sequence=sequence if self.epoch else None,
            heartbeat=heartbeat,
            detail=detail,
            run=self.run,
        )

    def letter(self, error: MessageError, sequence: int, payload: bytes, received_ns: int) -> DeadLetter:
        """Write what was read, waited, and then could not be used; `payload` is what it said."""
        key = InstrumentKey(self.instrument.venue, self.instrument.symbol)
        return letter_about_frame(
            f"{key}:{received_ns}:{sequence}", payload, received_ns, error, role=ROLE, instrument=key
        )


class EncodedDelta(msgspec.Struct, frozen=True, gc=False):
    """An `L2Record` of kind `delta` that is bytes already.

    Attributes:
        venue, symbol: The instrument.
        received_ns, exchange_ns: As in it.
        payload: What `schemas.codec.encode` gives of it.
    """

    venue: str
    symbol: str
    received_ns: int
    exchange_ns: int | None
    payload: bytes

    def record(self) -> L2Record:
        """Read it."""
        return decode_as(L2Record, self.payload)


def payload_of(record: ProducerRecord) -> bytes:
    """Give the bytes of a record. Errors as of `encode`."""
    return record.payload if isinstance(record, EncodedDelta) else encode(record)


def _amount(text: str | None) -> str | None:
    return None if text is None else plain(text)


ProducerRecord = L2Record | EncodedDelta | TradeRecord | DerivativeRecord | FeedStatus | FeedQuality | DeadLetter
"""Everything a producer publishes."""


def shifted(record: ProducerRecord, shift_ns: int) -> ProducerRecord:
    """Add a constant to all times of a record: no other value depends on it."""
    if isinstance(record, EncodedDelta):
        return shifted(record.record(), shift_ns)
    if isinstance(record, FeedStatus | DeadLetter):
        return replace(record, received_ns=record.received_ns + shift_ns)
    if isinstance(record, FeedQuality):
        return replace(record, began_ns=record.began_ns + shift_ns, received_ns=record.received_ns + shift_ns)
    exchange_ns = None if record.exchange_ns is None else record.exchange_ns + shift_ns
    moved = replace(record, received_ns=record.received_ns + shift_ns, exchange_ns=exchange_ns)
    if isinstance(moved, DerivativeRecord) and moved.next_funding_ns is not None:
        return replace(moved, next_funding_ns=moved.next_funding_ns + shift_ns)
    return moved


def renamed(record: ProducerRecord, symbol: str) -> ProducerRecord:
    """Give a record to another instrument: how one recording becomes many. A dead letter stays its own letter."""
    if isinstance(record, EncodedDelta):
        return renamed(record.record(), symbol)
    if isinstance(record, DeadLetter):
        return replace(record, symbol=symbol, letter_id=f"{record.letter_id}:{symbol}")
    return replace(record, symbol=symbol)
