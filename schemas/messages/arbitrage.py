"""Tops of books by canonical symbol, and where two of them cross."""

from __future__ import annotations

from enum import StrEnum

from schemas.bounds import (
    Count,
    Decimal,
    Epoch,
    Finite,
    Label,
    Levels,
    LogName,
    Offset,
    Partition,
    Symbol,
    TimeNs,
    Venue,
)
from schemas.messages.factors import Status
from schemas.messages.instruments import ContractKind, InstrumentRecord, Source


class QuoteRecord(InstrumentRecord, frozen=True, gc=False):
    """The top of a maintained book (`quotes.v1`), by canonical symbol, so that all venues of it lie in one partition.

    Attributes:
        venue, symbol: The instrument.
        canonical: Base, quote and kind of the contract, as `BTC-USDT-linear`, with its expiry where it has one.
        feed_source: Where the frames came from.
        status: Of the book; of one that is RESYNCING no level is told.
        epoch: Of its producer.
        received_ns: When the record was received behind which the book is so, ns UTC.
        decided_ns: When the quote could first be known, ns UTC: then.
        tick_size, lot_size, contract_value, contract_kind: The grid, as in `L2Record`.
        bid_ticks, bid_lots, ask_ticks, ask_lots: Up to 20 levels a side, best first, none beyond what is known.
        source_log, source_partition, source_offset: That record of `l2.v1`.
        run: As in `L2Record`.
    """

    canonical: Label
    feed_source: Source
    status: Status
    epoch: Epoch
    received_ns: TimeNs
    decided_ns: TimeNs
    tick_size: Decimal
    lot_size: Decimal
    contract_value: Decimal
    contract_kind: ContractKind
    source_log: LogName
    source_partition: Partition
    source_offset: Offset
    bid_ticks: Levels = []
    bid_lots: Levels = []
    ask_ticks: Levels = []
    ask_lots: Levels = []
    run: Label = ""


class ArbitrageAction(StrEnum):
    """What an episode of arbitrage does."""

    OPEN = "open"
    PEAK = "peak"
    """Its profit exceeds the last one told by a tenth."""
    CLOSE = "close"


class ArbitrageReason(StrEnum):
    """Why an episode takes a step."""

    FOUND = "found"
    GONE = "gone"
    """No size clears the bar any more."""
    NOT_FRESH = "not_fresh"
    """One of the books is old, broken or one-sided."""


class ArbitrageEvent(InstrumentRecord, frozen=True, gc=False):
    """A step of an episode: two books of one canonical symbol cross, fees counted (`arbitrage.v1`).

    No transfer, no funding and no risk of one leg alone is counted.

    Identity: (canonical, buy and sell instrument, source_log, source_partition, source_offset).

    Attributes:
        venue, symbol: Where to buy.
        canonical: As in `QuoteRecord`.
        sell_venue, sell_symbol: Where to sell.
        feed_source: Where the frames came from.
        action, reason: The step.
        episode: Number of the episode of this pair, from 1.
        step: Number of the step in its episode, from 0.
        received_ns: When the record behind the newer quote was received, ns UTC.
        decided_ns: When the step could first be known, ns UTC: then.
        arbitrage_set: Version of the rule and digest of its settings.
        buy_age_ms, sell_age_ms: Age of each book then.
        buy_taker_bps, sell_taker_bps: Fees counted; null where there is none.
        opened_ns: When the episode opened, ns UTC.
        size: Largest size whose every lot clears the bar, base units, on inverse contracts quote; null of a close.
        buy_vwap, sell_vwap: Mean prices of that size, quote units.
        gross_bps, net_bps: What selling brings over what buying costs, without and with fees.
        profit: After fees, quote units, on inverse contracts base.
        notional: What buying costs before fees, in quote units.
        capital_profit: Profit of what the capital in the settings buys.
        depth_limited: Whether a book ended before the bar did.
        source_log, source_partition, source_offset: The record of `quotes.v1` that made the step.
        run: Of that quote, as in `L2Record`.
    """

    canonical: Label
    sell_venue: Venue
    sell_symbol: Symbol
    feed_source: Source
    action: ArbitrageAction
    reason: ArbitrageReason
    episode: Count
    step: Count
    received_ns: TimeNs
    decided_ns: TimeNs
    arbitrage_set: Label
    buy_age_ms: Finite
    sell_age_ms: Finite
    opened_ns: TimeNs
    source_log: LogName
    source_partition: Partition
    source_offset: Offset
    buy_taker_bps: Finite | None = None
    sell_taker_bps: Finite | None = None
    size: Finite | None = None
    buy_vwap: Finite | None = None
    sell_vwap: Finite | None = None
    gross_bps: Finite | None = None
    net_bps: Finite | None = None
    profit: Finite | None = None
    notional: Finite | None = None
    capital_profit: Finite | None = None
    depth_limited: bool | None = None
    run: Label = ""

    @property
    def stream(self) -> str:
        """In which identities rise: the canonical symbol, and where to sell."""
        return f"{self.canonical}>{self.sell_venue}:{self.sell_symbol}"
