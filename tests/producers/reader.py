"""A reader of L2 records by the contract's words alone: the oracle, so it imports nothing of `orderbook`."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from schemas.messages import Kind, L2Record

Side = dict[Decimal, Decimal]


class DictReader:
    """A book as dicts of decimals, and whether it may be believed."""

    def __init__(self) -> None:
        self.live = False
        self.epoch = 0
        self.sequence = 0
        self.received_ns = 0
        self.bids: Side = {}
        self.asks: Side = {}
        self.live_at: list[tuple[int, Side, Side]] = []  # every believed state: sequence, bids, asks

    def read(self, records: Iterable[object]) -> None:
        for record in records:
            if isinstance(record, L2Record):
                self.take(record)

    def take(self, record: L2Record) -> None:
        assert record.received_ns >= self.received_ns, "received_ns fell"
        assert record.epoch >= self.epoch, "the epoch fell"
        self.received_ns = record.received_ns
        if record.kind is Kind.INVALID:
            assert record.reason is not None
            assert (record.epoch, record.sequence) == (self.epoch, self.sequence)
            self.live = False
            return
        bids, asks = self._levels(record)
        if record.kind is Kind.SNAPSHOT:
            assert not record.trade_ticks, "a snapshot carries trades"
            if self.live and record.epoch == self.epoch:
                assert record.sequence == self.sequence
                assert (self.bids, self.asks) == (_present(bids), _present(asks)), "a routine snapshot differs"
            self.bids, self.asks = _present(bids), _present(asks)
            self.live, self.epoch = True, record.epoch
        else:
            assert self.live, "a delta on a book that is not live"
            assert record.epoch == self.epoch
            assert record.previous_sequence == self.sequence
            self.bids, self.asks = _present(self.bids | bids), _present(self.asks | asks)
        self.sequence = record.sequence
        self.live_at.append((record.sequence, dict(self.bids), dict(self.asks)))

    def _levels(self, record: L2Record) -> tuple[Side, Side]:
        tick, lot = Decimal(record.tick_size), Decimal(record.lot_size)
        return (
            {t * tick: q * lot for t, q in zip(record.bid_ticks, record.bid_lots, strict=True)},
            {t * tick: q * lot for t, q in zip(record.ask_ticks, record.ask_lots, strict=True)},
        )


def _present(side: Side) -> Side:
    return {price: size for price, size in side.items() if size}
