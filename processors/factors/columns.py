"""What goes into the core and what comes out: columns of one instrument's consecutive records and of their events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from orderbook.validity import Outcome
from schemas.messages import ContractKind, FactorEvent, InstrumentKey, Kind, L2Record, Reason, Source, Status

Values = tuple[float | None, ...]


@dataclass(slots=True)
class L2Columns:
    """Consecutive L2 records of one instrument, in source order, as parallel columns.

    Attributes:
        instrument: Venue and symbol, the same in every row.
        source_offset: Offsets in `l2.v1`, rising.
        Every other column: the field of `schemas.messages.L2Record` of that name; levels and trades one list a row.
    """

    instrument: InstrumentKey
    source_offset: list[int] = field(default_factory=list)
    source: list[Source] = field(default_factory=list)
    kind: list[Kind] = field(default_factory=list)
    reason: list[Reason | None] = field(default_factory=list)
    epoch: list[int] = field(default_factory=list)
    sequence: list[int] = field(default_factory=list)
    previous_sequence: list[int | None] = field(default_factory=list)
    exchange_ns: list[int | None] = field(default_factory=list)
    received_ns: list[int] = field(default_factory=list)
    tick_size: list[str] = field(default_factory=list)
    lot_size: list[str] = field(default_factory=list)
    contract_value: list[str] = field(default_factory=list)
    contract_kind: list[ContractKind] = field(default_factory=list)
    bid_ticks: list[list[int]] = field(default_factory=list)
    bid_lots: list[list[int]] = field(default_factory=list)
    ask_ticks: list[list[int]] = field(default_factory=list)
    ask_lots: list[list[int]] = field(default_factory=list)
    trade_ticks: list[list[int]] = field(default_factory=list)
    trade_lots: list[list[int]] = field(default_factory=list)

    @classmethod
    def from_records(cls, offsets: Sequence[int], records: Sequence[L2Record]) -> L2Columns:
        """Columns of these records.

        Raises:
            ValueError: no records, offsets that do not pair up, or more than one instrument.
        """
        if not records or len(offsets) != len(records):
            raise ValueError(f"{len(offsets)} offsets for {len(records)} records")
        columns = cls(records[0].instrument)
        for offset, record in zip(offsets, records, strict=True):
            columns._append(offset, record)
        return columns

    def __len__(self) -> int:
        return len(self.source_offset)

    def record(self, row: int) -> L2Record:
        """One row as the record it came from."""
        return L2Record(
            venue=self.instrument.venue,
            symbol=self.instrument.symbol,
            source=self.source[row],
            kind=self.kind[row],
            reason=self.reason[row],
            epoch=self.epoch[row],
            sequence=self.sequence[row],
            previous_sequence=self.previous_sequence[row],
            exchange_ns=self.exchange_ns[row],
            received_ns=self.received_ns[row],
            tick_size=self.tick_size[row],
            lot_size=self.lot_size[row],
            contract_value=self.contract_value[row],
            contract_kind=self.contract_kind[row],
            bid_ticks=self.bid_ticks[row],
            bid_lots=self.bid_lots[row],
            ask_ticks=self.ask_ticks[row],
            ask_lots=self.ask_lots[row],
            trade_ticks=self.trade_ticks[row],
            trade_lots=self.trade_lots[row],
        )

    def _append(self, offset: int, record: L2Record) -> None:
        if (record.venue, record.symbol) != self.instrument:
            raise ValueError(f"{record.instrument} among records of {self.instrument}")
        self.source_offset.append(offset)
        self.source.append(record.source)
        self.kind.append(record.kind)
        self.reason.append(record.reason)
        self.epoch.append(record.epoch)
        self.sequence.append(record.sequence)
        self.previous_sequence.append(record.previous_sequence)
        self.exchange_ns.append(record.exchange_ns)
        self.received_ns.append(record.received_ns)
        self.tick_size.append(record.tick_size)
        self.lot_size.append(record.lot_size)
        self.contract_value.append(record.contract_value)
        self.contract_kind.append(record.contract_kind)
        self.bid_ticks.append(record.bid_ticks)
        self.bid_lots.append(record.bid_lots)
        self.ask_ticks.append(record.ask_ticks)
        self.ask_lots.append(record.ask_lots)
        self.trade_ticks.append(record.trade_ticks)
        self.trade_lots.append(record.trade_lots)


@dataclass(frozen=True, slots=True)
class Break:
    """A book that broke at this reader and has not been healed since: what a resync request names.

    Attributes:
        reason: Gap, snapshot_mismatch, regrid or crossed.
        epoch: The reader's epoch.
        source_offset: Offset of the record that showed it.
        received_ns: That record's time.
        awaits_invalid: True where the producer follows the same rule (crossed) and will publish an `invalid` itself:
            ask only if none comes within a second. False: ask at once.
    """

    reason: Reason
    epoch: int
    source_offset: int
    received_ns: int
    awaits_invalid: bool


@dataclass(slots=True)
class FactorColumns:
    """The events of one batch, as parallel columns, and what the batch did.

    Attributes:
        source_offset, sequence, exchange_ns, received_ns: Of the record behind each event.
        status: State of the book after it.
        values: One nullable float a factor, in the order of `schemas.factors.FACTORS`.
        outcomes: How many records had each outcome; their sum is the batch's length.
        resync: The break that is still open after the batch, or None.
    """

    source_offset: list[int] = field(default_factory=list)
    sequence: list[int] = field(default_factory=list)
    exchange_ns: list[int | None] = field(default_factory=list)
    received_ns: list[int] = field(default_factory=list)
    status: list[Status] = field(default_factory=list)
    values: list[Values] = field(default_factory=list)
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    resync: Break | None = None

    def append(self, source_offset: int, record: L2Record, status: Status, values: Values) -> None:
        """Add the event of one record."""
        self.source_offset.append(source_offset)
        self.sequence.append(record.sequence)
        self.exchange_ns.append(record.exchange_ns)
        self.received_ns.append(record.received_ns)
        self.status.append(status)
        self.values.append(values)

    def __len__(self) -> int:
        return len(self.source_offset)

    def events(self) -> list[FactorEvent]:
        """The events as records hold them."""
        return [
            FactorEvent(
                source_offset=offset,
                sequence=sequence,
                exchange_ns=exchange_ns,
                received_ns=received_ns,
                status=status,
                values=values,
            )
            for offset, sequence, exchange_ns, received_ns, status, values in zip(
                self.source_offset,
                self.sequence,
                self.exchange_ns,
                self.received_ns,
                self.status,
                self.values,
                strict=True,
            )
        ]
