"""What a producer vouches for: updates of books, trades, and what venues tell of derivatives."""

from __future__ import annotations

from enum import StrEnum

from schemas.bounds import (
    Amount,
    Count,
    Decimal,
    Epoch,
    Few,
    Int64,
    Label,
    Levels,
    SignedAmount,
    TimeNs,
    TradePrices,
    TradeSizes,
)
from schemas.messages.instruments import ContractKind, InstrumentRecord, Source


class Kind(StrEnum):
    """What an L2 record does to the book."""

    SNAPSHOT = "snapshot"
    DELTA = "delta"
    INVALID = "invalid"


class Reason(StrEnum):
    """Why a book is not (or no longer) LIVE."""

    GAP = "gap"
    NO_BRIDGE = "no_bridge"
    CHECKSUM = "checksum"
    CROSSED = "crossed"
    DISCONNECT = "disconnect"
    OVERLOAD = "overload"
    REGRID = "regrid"
    BAD_INPUT = "bad_input"
    SNAPSHOT_MISMATCH = "snapshot_mismatch"
    RESYNC_REQUESTED = "resync_requested"
    STALE_EPOCH = "stale_epoch"
    RESTART = "restart"
    BEYOND_SNAPSHOT = "beyond_snapshot"
    """The best price of a side lies farther out than what is known of it."""
    QUOTE_MISMATCH = "quote_mismatch"
    """The venue's own best quotes contradicted the book three times in a row."""
    DELISTED = "delisted"
    """The venue trades the instrument no longer: no book follows."""


class Coverage(StrEnum):
    """How far a book is known."""

    WHOLE = "whole"
    """The venue sends every level."""
    RANGE = "range"
    """Nothing is missing up to a price of each side; deltas never widen it."""
    TOP_N = "top_n"
    """The venue keeps exactly so many levels: known as far as the worst one held."""


class SequenceSource(StrEnum):
    """Whether the venue numbers its updates or we had to."""

    VENUE = "venue"
    SYNTHETIC = "synthetic"


class L2Record(InstrumentRecord, frozen=True, gc=False):
    """One update of one book, as the producer vouches for it (`l2.v1`).

    A delta is valid if and only if its epoch is the book's and its `previous_sequence` equals the book's `sequence`;
    sequences are never compared by order. Sizes are absolute and 0 removes the level.

    Attributes:
        venue: Exchange id.
        symbol: The venue's own symbol.
        source: Live, replay or simulator.
        kind: Snapshot, delta or invalid.
        reason: Why the book is invalid; null on snapshots and deltas.
        epoch: Fences producers: raised by restart, refetch and regrid, kept by snapshots from memory.
        sequence: The venue's number of this update (or a counter, see `sequence_source`).
        previous_sequence: The sequence this delta connects to; null on snapshots and invalids.
        exchange_ns: The venue's time, ns UTC; null where it gives none.
        received_ns: Our time at the socket, ns UTC; never falls within an instrument.
        tick_size: Price of one tick, decimal string.
        lot_size: Size of one lot, decimal string.
        contract_value: Base (linear) or quote (inverse) amount of one contract, decimal string; "1" on spot.
        contract_kind: How a size becomes a notional.
        sequence_source: Whether the venue numbered this update.
        coverage: How far the book of a snapshot is known; null on deltas and invalids, which change nothing of it, and
            in records of version 1, whose books count as whole.
        bid_known_ticks, ask_known_ticks: Of a range, the farthest price of each side up to which nothing is missing;
            null where the whole side is known.
        bid_ticks, bid_lots, ask_ticks, ask_lots: Levels as parallel arrays.
        trade_ticks, trade_lots: Trades received since the previous delta, in order of receipt; lots are signed,
            positive where the buyer was the aggressor. Empty on snapshots and invalids. A trade that does not lie on
            this grid is in `trades.v1` alone.
        quote_flow_lots: Of a delta: order flow at the best quotes (Cont, Kukanov, Stoikov's e) summed over the updates
            of the best quotes received since the previous delta, in the venue's order, lots; null where the stream is
            not subscribed or had a hole.
        quote_events: How many such updates were received since then.
        run: What run of a producer wrote it (`schemas/runs.py`); empty in records of version 1.
    """

    source: Source
    kind: Kind
    epoch: Epoch
    sequence: Int64
    received_ns: TimeNs
    tick_size: Decimal
    lot_size: Decimal
    reason: Reason | None = None
    previous_sequence: Int64 | None = None
    exchange_ns: TimeNs | None = None
    contract_value: Decimal = "1"
    contract_kind: ContractKind = ContractKind.SPOT
    sequence_source: SequenceSource = SequenceSource.VENUE
    coverage: Coverage | None = None
    bid_known_ticks: Count | None = None
    ask_known_ticks: Count | None = None
    bid_ticks: Levels = []
    bid_lots: Levels = []
    ask_ticks: Levels = []
    ask_lots: Levels = []
    trade_ticks: TradePrices = []
    trade_lots: TradeSizes = []
    quote_flow_lots: Int64 | None = None
    quote_events: Few = 0
    run: Label = ""


class TradeRecord(InstrumentRecord, frozen=True, gc=False):
    """One public trade (`trades.v1`).

    Attributes:
        venue, symbol, source: As in `L2Record`.
        trade_id: The venue's id of the trade, as text.
        exchange_ns, received_ns: As in `L2Record`.
        tick_size, lot_size, contract_value, contract_kind: The grid, as in `L2Record`.
        price_ticks: Price in ticks.
        size_lots: Signed size in lots: positive where the buyer was the aggressor.
        run: As in `L2Record`.
    """

    source: Source
    trade_id: Label
    received_ns: TimeNs
    tick_size: Decimal
    lot_size: Decimal
    price_ticks: Count
    size_lots: Int64
    exchange_ns: TimeNs | None = None
    contract_value: Decimal = "1"
    contract_kind: ContractKind = ContractKind.SPOT
    run: Label = ""


class DerivativeRecord(InstrumentRecord, frozen=True, gc=False):
    """What a venue told of a derivative besides its book: funding, mark price, open interest (`derivatives.v1`).

    It says what one message of the venue said, and no more: a value that the message did not carry is null, which means
    "not told here", not "none there is". The newest value of each is the last one that is not null.

    The numbers are decimal strings, exactly as the venue wrote them but for padding: they lie on no grid (a mark price
    is an average, a funding rate has a scale of its own), and float64 would not give back the 16 and more digits that
    some of them have.

    Attributes:
        venue, symbol, source: As in `L2Record`.
        exchange_ns, received_ns: As in `L2Record`.
        funding_rate: What longs pay shorts at the next funding, a share of the notional (0.0001 is 1 bp); negative
            where shorts pay. Of Deribit, which funds continuously, the present rate for 8 hours.
        next_funding_ns: When that is, ns UTC.
        funding_interval_s: Time between two fundings, seconds.
        mark_price: What positions are valued at, in the quote currency; of an option as its book is quoted.
        index_price: Price of the underlying, in the quote currency.
        open_interest: Contracts that are open, in the unit of the book's sizes: each of them is worth `contract_value`.
        contract_value, contract_kind: As in `L2Record`.
        run: As in `L2Record`.
    """

    source: Source
    received_ns: TimeNs
    exchange_ns: TimeNs | None = None
    funding_rate: SignedAmount | None = None
    next_funding_ns: TimeNs | None = None
    funding_interval_s: Few | None = None
    mark_price: Amount | None = None
    index_price: Amount | None = None
    open_interest: Amount | None = None
    contract_value: Decimal = "1"
    contract_kind: ContractKind = ContractKind.LINEAR
    run: Label = ""
