"""Deltas as columns, and a row of them: what the engine takes for a record, without being one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, chain
from typing import Final

import numpy as np

from orderbook.grid import Grid
from processors.factors.kernel.deltas import HEAD, Deltas
from schemas.errors import InvalidNumber
from schemas.messages import ContractKind, InstrumentKey, Kind, L2Record, SequenceSource, Source

ARRAYS: Final = ("bid_ticks", "bid_lots", "ask_ticks", "ask_lots", "trade_ticks", "trade_lots")
"""The arrays of a record, in the order of `Deltas.spans`."""


@dataclass(frozen=True, slots=True, eq=False)
class DeltaIdentity:
    """What the deltas of one instrument, run and grid have in common. Attributes as in `L2Record`.

    Attributes:
        grid: Its grid.
    """

    venue: str
    symbol: str
    source: Source
    run: str
    tick_size: str
    lot_size: str
    contract_value: str
    contract_kind: ContractKind
    sequence_source: SequenceSource
    grid: Grid

    @classmethod
    def of(cls, record: L2Record) -> DeltaIdentity:
        """Take it from a record. Raises InvalidNumber: the grid is not made of plain decimals."""
        grid = Grid.of(record.tick_size, record.lot_size, record.contract_value, record.contract_kind)
        whose = (record.venue, record.symbol, record.source, record.run)
        on = (record.tick_size, record.lot_size, record.contract_value, record.contract_kind)
        return cls(*whose, *on, record.sequence_source, grid)


class DeltaRow:
    """One delta of some columns, with what is read of an `L2Record` outside of the engine.

    Attributes:
        deltas: The columns.
        index: Its place in them.
        identity: Whose it is.
    """

    __slots__ = ("deltas", "identity", "index")

    def __init__(self, deltas: Deltas, index: int, identity: DeltaIdentity) -> None:
        self.deltas, self.index, self.identity = deltas, index, identity

    @property
    def venue(self) -> str:
        """Exchange id."""
        return self.identity.venue

    @property
    def symbol(self) -> str:
        """The venue's own symbol."""
        return self.identity.symbol

    @property
    def instrument(self) -> InstrumentKey:
        """Both."""
        return InstrumentKey(self.identity.venue, self.identity.symbol)

    @property
    def source(self) -> Source:
        """Live, replay or simulator."""
        return self.identity.source

    @property
    def run(self) -> str:
        """What run of a producer wrote it."""
        return self.identity.run

    @property
    def epoch(self) -> int:
        """Epoch of its producer."""
        return int(self.deltas.heads["epoch"][self.index])

    def record(self) -> L2Record:
        """Make the record that it is."""
        head, numbers, whose = self.deltas.heads[self.index], self.deltas.numbers, self.identity
        spans = head["spans"].tolist()
        arrays = [numbers[spans[i] : spans[i + 1]].tolist() for i in range(len(ARRAYS))]
        return L2Record(
            venue=whose.venue,
            symbol=whose.symbol,
            source=whose.source,
            kind=Kind.DELTA,
            epoch=int(head["epoch"]),
            sequence=int(head["sequence"]),
            previous_sequence=int(head["previous"]),
            exchange_ns=int(head["exchange_ns"]) if head["has_exchange"] else None,
            received_ns=int(head["received_ns"]),
            tick_size=whose.tick_size,
            lot_size=whose.lot_size,
            contract_value=whose.contract_value,
            contract_kind=whose.contract_kind,
            sequence_source=whose.sequence_source,
            quote_flow_lots=int(head["flow_lots"]) if head["has_flow"] else None,
            quote_events=int(head["quote_events"]),
            run=whose.run,
            **dict(zip(ARRAYS, arrays, strict=True)),
        )


Row = DeltaRow | L2Record
"""A delta in columns; snapshots, invalids and what no column holds stay records."""


def rows_of(records: Sequence[L2Record]) -> list[Row]:
    """Put the deltas among records into columns. What no column holds stays a record."""
    rows: list[Row] = list(records)
    places = [at for at, record in enumerate(records) if _is_plain(record)]
    try:
        deltas = columns_of([records[at] for at in places])
        whose = {_key(records[at]): records[at] for at in places}
        identities = {key: DeltaIdentity.of(record) for key, record in whose.items()}
    except (OverflowError, InvalidNumber):
        return rows
    for index, at in enumerate(places):
        rows[at] = DeltaRow(deltas, index, identities[_key(records[at])])
    return rows


def _is_plain(record: L2Record) -> bool:
    sides = ((record.bid_ticks, record.bid_lots), (record.ask_ticks, record.ask_lots))
    pairs = (*sides, (record.trade_ticks, record.trade_lots))
    is_paired = all(len(ticks) == len(lots) for ticks, lots in pairs)
    return record.kind is Kind.DELTA and record.previous_sequence is not None and is_paired


def _key(record: L2Record) -> tuple[object, ...]:
    """What an identity is made of."""
    grid = (record.tick_size, record.lot_size, record.contract_value, record.contract_kind)
    return (record.venue, record.symbol, record.source, record.run, *grid, record.sequence_source)


def columns_of(records: Sequence[L2Record]) -> Deltas:
    """Put deltas into columns. Raises OverflowError: a number is beyond int64."""
    arrays = [getattr(record, name) for record in records for name in ARRAYS]
    starts = [0, *accumulate(map(len, arrays))]
    width = len(ARRAYS)
    heads = np.array(
        [
            (
                *(record.epoch, record.sequence, record.previous_sequence or 0, record.received_ns),
                *(record.exchange_ns or 0, record.exchange_ns is not None),
                *(record.quote_flow_lots or 0, record.quote_flow_lots is not None, record.quote_events),
                starts[at * width : at * width + width + 1],
            )
            for at, record in enumerate(records)
        ],
        dtype=HEAD,
    )
    return Deltas(heads, np.fromiter(chain.from_iterable(arrays), dtype=np.int64, count=starts[-1]))
