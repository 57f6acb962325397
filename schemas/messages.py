"""The records that cross a process boundary.

Prices and sizes are integers: ticks and lots on the grid the record itself carries (`tick_size`, `lot_size`).
Times are nanoseconds since the epoch, UTC: `exchange_ns` is the venue's (matching time where it gives one, else its
send time, else null), `received_ns` is ours, at the socket. What is known is decided by `received_ns`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

import msgspec


class Source(StrEnum):
    """Where the frames came from."""

    LIVE = "live"
    REPLAY = "replay"
    SIMULATOR = "simulator"


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


class ContractKind(StrEnum):
    """How a size becomes a notional."""

    SPOT = "spot"
    LINEAR = "linear"
    INVERSE = "inverse"
    OPTION = "option"


class SequenceSource(StrEnum):
    """Whether the venue numbers its updates or we had to."""

    VENUE = "venue"
    SYNTHETIC = "synthetic"


class Status(StrEnum):
    """State of the book behind a factor event: the first of these that holds."""

    RESYNCING = "RESYNCING"
    EMPTY = "EMPTY"
    ONE_SIDED = "ONE_SIDED"
    CROSSED = "CROSSED"
    LOCKED = "LOCKED"
    THIN = "THIN"
    OK = "OK"


class FeedState(StrEnum):
    """What a producer says of one instrument's feed."""

    CONNECTING = "connecting"
    AWAITING_SNAPSHOT = "awaiting_snapshot"
    LIVE = "live"
    INVALID = "invalid"
    STALE = "stale"
    DISCONNECTED = "disconnected"
    STOPPED = "stopped"


class InstrumentKey(NamedTuple):
    """An instrument: the venue and the venue's own symbol. Never a symbol alone: spot and linear share names."""

    venue: str
    symbol: str

    def __str__(self) -> str:
        return f"{self.venue}:{self.symbol}"

    @classmethod
    def parse(cls, text: str) -> InstrumentKey:
        """Read `venue:symbol`, the key of every per-instrument topic."""
        venue, _, symbol = text.partition(":")
        return cls(venue, symbol)


class L2Record(msgspec.Struct, frozen=True, gc=False):
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
        bid_ticks, bid_lots, ask_ticks, ask_lots: Levels as parallel arrays.
        trade_ticks, trade_lots: Trades received since the previous delta, in order of receipt; lots are signed,
            positive where the buyer was the aggressor. Empty on snapshots and invalids.
    """

    venue: str
    symbol: str
    source: Source
    kind: Kind
    epoch: int
    sequence: int
    received_ns: int
    tick_size: str
    lot_size: str
    reason: Reason | None = None
    previous_sequence: int | None = None
    exchange_ns: int | None = None
    contract_value: str = "1"
    contract_kind: ContractKind = ContractKind.SPOT
    sequence_source: SequenceSource = SequenceSource.VENUE
    bid_ticks: list[int] = []
    bid_lots: list[int] = []
    ask_ticks: list[int] = []
    ask_lots: list[int] = []
    trade_ticks: list[int] = []
    trade_lots: list[int] = []

    @property
    def instrument(self) -> InstrumentKey:
        """The instrument; its text form is the Kafka key."""
        return InstrumentKey(self.venue, self.symbol)


class TradeRecord(msgspec.Struct, frozen=True, gc=False):
    """One public trade (`trades.v1`).

    Attributes:
        venue, symbol, source: As in `L2Record`.
        trade_id: The venue's id of the trade, as text.
        exchange_ns, received_ns: As in `L2Record`.
        tick_size, lot_size, contract_value, contract_kind: The grid, as in `L2Record`.
        price_ticks: Price in ticks.
        size_lots: Signed size in lots: positive where the buyer was the aggressor.
    """

    venue: str
    symbol: str
    source: Source
    trade_id: str
    received_ns: int
    tick_size: str
    lot_size: str
    price_ticks: int
    size_lots: int
    exchange_ns: int | None = None
    contract_value: str = "1"
    contract_kind: ContractKind = ContractKind.SPOT

    @property
    def instrument(self) -> InstrumentKey:
        """The instrument; its text form is the Kafka key."""
        return InstrumentKey(self.venue, self.symbol)


class FeedStatus(msgspec.Struct, frozen=True, gc=False):
    """A change, or a heartbeat, of one instrument's feed (`feed-status.v1`).

    Attributes:
        venue, symbol, source: As in `L2Record`.
        state: What the feed is now.
        reason: Why, where it is not live.
        epoch: The producer's current epoch.
        sequence: The book's sequence; null before the first snapshot.
        received_ns: When this became true, ns UTC.
        heartbeat: True where nothing changed since the last status of this instrument.
        detail: One sentence for a person.
    """

    venue: str
    symbol: str
    source: Source
    state: FeedState
    epoch: int
    received_ns: int
    reason: Reason | None = None
    sequence: int | None = None
    heartbeat: bool = False
    detail: str = ""

    @property
    def instrument(self) -> InstrumentKey:
        """The instrument; its text form is the Kafka key."""
        return InstrumentKey(self.venue, self.symbol)


class ResyncRequest(msgspec.Struct, frozen=True, gc=False):
    """A reader whose book broke asks the producer for a snapshot (`resync.v1`).

    Attributes:
        venue, symbol: The instrument.
        reason: What broke.
        epoch: The reader's epoch; where the producer's is lower it lifts its own above it.
        source_partition, source_offset: Where in `l2.v1` it broke; older requests than the last snapshot are ignored.
        attempt: 1 for the first request, then 2, 3 … after 1, 2, 4 … 30 s.
    """

    venue: str
    symbol: str
    reason: Reason
    epoch: int
    source_partition: int
    source_offset: int
    attempt: int = 1

    @property
    def instrument(self) -> InstrumentKey:
        """The instrument; its text form is the Kafka key."""
        return InstrumentKey(self.venue, self.symbol)


class DeadLetter(msgspec.Struct, frozen=True, gc=False):
    """A message that could not be used, with its cause and origin (`dead-letters.v1`).

    Attributes:
        letter_id: Deterministic: `topic_id:partition:offset` for a record, `venue:connection:counter` for a frame,
            so that the same letter written again after a crash is the same letter.
        role: Who refused it: producer, processor, regimes or sink.
        reason: The error's class name.
        error: The error's sentence.
        venue, symbol: Where known, else empty.
        source_topic, source_partition, source_offset: Where the record lay; topic empty and -1 for frames.
        received_ns: When the refused message was received (a record: its Kafka time), ns UTC.
        payload: The bytes, cut at 64 KiB.
        payload_bytes: Their full length before the cut.
    """

    letter_id: str
    role: str
    reason: str
    error: str
    received_ns: int
    payload: bytes
    payload_bytes: int
    venue: str = ""
    symbol: str = ""
    source_topic: str = ""
    source_partition: int = -1
    source_offset: int = -1


class FactorEvent(msgspec.Struct, frozen=True, gc=False):
    """The factors after one record.

    Attributes:
        source_offset: Offset of that record in `l2.v1`.
        sequence: Its sequence.
        exchange_ns, received_ns: Its times.
        status: State of the book.
        values: One nullable float a factor, in the order of `schemas.factors.FACTORS`. Null is "no value":
            never 0, never NaN.
    """

    source_offset: int
    sequence: int
    received_ns: int
    status: Status
    values: tuple[float | None, ...]
    exchange_ns: int | None = None


class FactorRecord(msgspec.Struct, frozen=True, gc=False):
    """Consecutive factor events of one instrument (`factors.v1`), at most `MAX_EVENTS`.

    Identity of an event: (instrument, source_log, source_partition, source_offset). A replay after a crash reproduces
    identity and values, though records may pack events differently.

    Attributes:
        venue, symbol, source: As in `L2Record`.
        factor_set: Version of the factor list.
        source_log: First 8 characters of the Kafka topic id of `l2.v1`: a recreated topic is another log.
        source_partition: Partition of `l2.v1`.
        events: In source order.
    """

    venue: str
    symbol: str
    source: Source
    factor_set: str
    source_log: str
    source_partition: int
    events: list[FactorEvent]

    @property
    def instrument(self) -> InstrumentKey:
        """The instrument; its text form is the Kafka key."""
        return InstrumentKey(self.venue, self.symbol)


MAX_EVENTS = 256
"""Most events a factor record may pack."""

MAX_PAYLOAD_BYTES = 64 * 1024
"""Where a dead letter's payload is cut."""

Record = L2Record | TradeRecord | FeedStatus | ResyncRequest | DeadLetter | FactorRecord
