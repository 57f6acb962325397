"""Order-book factors as tutorials publish them: a dict a side, floats, everything sorted anew for each update.

The seven factors that such code has in common, as `processors/factors/reference` defines them; nothing that the kernel
also keeps (statuses, windows, flows, nulls). It is here to be compared with, not to be copied.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from statistics import stdev

from schemas.messages import Kind, L2Record

Level = tuple[float, float]
Update = tuple[bool, list[Level], list[Level]]
"""Whether it is a snapshot, then prices and sizes of bids and of asks."""

NAMES = (
    "obi_l5",
    "obi_weighted",
    "micro_price_imb",
    "pressure_score",
    "obi_vwap",
    "size_dispersion",
    "obi_change_rate",
)


def updates_of(records: Sequence[L2Record]) -> list[Update]:
    """What such code gets from a feed: floats."""
    return [_update(record) for record in records]


def _update(record: L2Record) -> Update:
    tick, lot = float(record.tick_size), float(record.lot_size) * float(record.contract_value)
    bids = [(ticks * tick, lots * lot) for ticks, lots in zip(record.bid_ticks, record.bid_lots, strict=True)]
    asks = [(ticks * tick, lots * lot) for ticks, lots in zip(record.ask_ticks, record.ask_lots, strict=True)]
    return record.kind is Kind.SNAPSHOT, bids, asks


class NaiveBook:
    """One book and the imbalances before."""

    def __init__(self) -> None:
        self.bids: dict[float, float] = {}
        self.asks: dict[float, float] = {}
        self.history: deque[float] = deque(maxlen=10)

    def factors(self, update: Update) -> dict[str, float]:
        """Apply an update and compute all seven."""
        is_snapshot, bids, asks = update
        if is_snapshot:
            self.bids, self.asks = {}, {}
        self._apply(self.bids, bids)
        self._apply(self.asks, asks)
        best_bids = sorted(self.bids.items(), reverse=True)[:20]
        best_asks = sorted(self.asks.items())[:20]
        return self._computed(best_bids, best_asks)

    @staticmethod
    def _apply(side: dict[float, float], levels: list[Level]) -> None:
        for price, size in levels:
            if size == 0:
                side.pop(price, None)
            else:
                side[price] = size

    def _computed(self, bids: list[Level], asks: list[Level]) -> dict[str, float]:
        mid = (bids[0][0] + asks[0][0]) / 2
        imbalance = _ratio(sum(size for _, size in bids[:5]), sum(size for _, size in asks[:5]))
        before = list(self.history)
        self.history.append(imbalance)
        sizes = [size for _, size in bids + asks]
        top = bids[:10] + asks[:10]
        vwap = sum(price * size for price, size in top) / sum(size for _, size in top)
        return {
            "obi_l5": imbalance,
            "obi_weighted": _ratio(_near(bids, mid), _near(asks, mid)),
            "micro_price_imb": _ratio(_halving(bids), _halving(asks)),
            "pressure_score": sum((mid - price) * size for price, size in bids[:10])
            / sum((price - mid) * size for price, size in asks[:10]),
            "obi_vwap": (vwap - mid) / mid,
            "size_dispersion": stdev(sizes),
            "obi_change_rate": imbalance - sum(before) / len(before) if len(before) > 1 else 0.0,
        }


def _ratio(bid: float, ask: float) -> float:
    return (bid - ask) / (bid + ask)


def _near(levels: list[Level], mid: float) -> float:
    return sum(size * 0.9**k / (1 + abs(price - mid) / mid) for k, (price, size) in enumerate(levels[:10]))


def _halving(levels: list[Level]) -> float:
    return sum(size * 0.5**k for k, (_, size) in enumerate(levels[:10]))
