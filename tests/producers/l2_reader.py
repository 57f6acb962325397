"""A reader of `l2.v1` that shares no code with the pipeline: dicts and the one rule."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from schemas.messages import Kind, L2Record


class Book:
    """One instrument as a reader of `l2.v1` has it: dicts and the one rule, no code of the pipeline."""

    def __init__(self) -> None:
        self.live = False
        self.epoch = self.sequence = self.deltas = 0
        self.broken: list[str] = []
        self.invalid: list[str] = []
        self.snapshots: list[L2Record] = []
        self.sides: tuple[dict[Decimal, Decimal], dict[Decimal, Decimal]] = ({}, {})

    def apply(self, record: L2Record) -> None:
        """Take the next record."""
        if record.kind is Kind.INVALID:
            assert record.epoch >= self.epoch
            self.live = False
            self.invalid.append(str(record.reason))
        elif record.kind is Kind.SNAPSHOT:
            self.snapshots.append(record)
            if record.epoch > self.epoch or not self.live:
                self.sides = ({}, {})
                self._set(record)
                self.live, self.epoch, self.sequence = True, record.epoch, record.sequence
            elif record.sequence != self.sequence or self._levels(record) != self.sides:
                self._surprised(record)
        elif self.live and record.epoch == self.epoch and record.previous_sequence == self.sequence:
            self._set(record)
            self.sequence = record.sequence
            self.deltas += 1
        else:
            self._surprised(record)

    def _surprised(self, record: L2Record) -> None:
        """A record that the rule does not allow here, and where "here" is."""
        got = f"{record.kind} {record.previous_sequence}->{record.sequence} of epoch {record.epoch}"
        self.broken.append(
            f"{got} at {self.sequence} of epoch {self.epoch}, live {self.live}, after {self.deltas} deltas"
        )

    def _set(self, record: L2Record) -> None:
        for side, levels in zip(self.sides, self._levels(record), strict=True):
            for price, size in levels.items():
                side[price] = size
                if not size:
                    del side[price]

    def _levels(self, record: L2Record) -> tuple[dict[Decimal, Decimal], dict[Decimal, Decimal]]:
        tick, lot = Decimal(record.tick_size), Decimal(record.lot_size)
        bids = {tick * p: lot * s for p, s in zip(record.bid_ticks, record.bid_lots, strict=True)}
        return bids, {tick * p: lot * s for p, s in zip(record.ask_ticks, record.ask_lots, strict=True)}


def books_of(records: Sequence[L2Record]) -> dict[str, Book]:
    """The books that a reader of these records ends with."""
    books: dict[str, Book] = {}
    for record in records:
        books.setdefault(record.symbol, Book()).apply(record)
    return books
