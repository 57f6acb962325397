"""spoofing_like: a large order near mid comes and goes untraded, while others trade the way it leans.

A pattern score from levels and trades, never an accusation: levels name no account. That large orders vanish says
nothing by itself: 93-100 % of adds above the 99th percentile do so within ten seconds. Four things have to come
together, and the score is their geometric mean: how large the order was, how little of it was traded, how far the mid
moved in its favour, and how much was traded aggressively the way it leans.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log, sqrt
from typing import NamedTuple

import msgspec

from processors.anomalies.near import OpenTop
from processors.anomalies.thresholds import LevelThresholds
from schemas.messages import LevelSide
from schemas.units import NS_PER_SECOND


class LargeOrder(msgspec.Struct):
    """A level that grew by much, while it is watched. Serialisable as it stands.

    Attributes:
        side, tick: The level.
        base_lots, added_lots: Its size before it grew, and by how much it did.
        side_lots: What rested on its side near mid before that.
        sum_ticks: Twice the mid after the record that let it grow.
        opened_ns, opened_offset: That record.
        traded_lots: Traded at its price against it since.
        with_lots, against_lots: All aggressive size since the way it leans (a bid's: buys), and against it.
    """

    side: LevelSide
    tick: int
    base_lots: int
    added_lots: int
    side_lots: int
    sum_ticks: int
    opened_ns: int
    opened_offset: int
    traded_lots: int = 0
    with_lots: int = 0
    against_lots: int = 0

    @property
    def sign(self) -> int:
        """1 of a bid, -1 of an ask: the way it leans."""
        return 1 if self.side is LevelSide.BID else -1

    @property
    def side_share(self) -> float:
        """What was added over the size of its side."""
        return self.added_lots / self.side_lots

    def take_trades(self, ticks: Sequence[int], lots: Sequence[int]) -> None:
        """Count the trades of a record: lots are positive where the buyer was the aggressor."""
        for tick, signed in zip(ticks, lots, strict=True):
            if signed * self.sign > 0:
                self.with_lots += abs(signed)
                continue
            self.against_lots += abs(signed)
            self.traded_lots += abs(signed) if tick == self.tick else 0

    def is_gone(self, lots: int, settings: LevelThresholds) -> bool:
        """Whether so little is left of what was added, where the level is of that size now."""
        return lots - self.base_lots <= settings.order_left_share * self.added_lots


class GoneOrder(NamedTuple):
    """A large order that is gone, and what was seen of it.

    Attributes:
        order: It.
        top: Of the book behind the record that showed it gone.
        removed_lots: What was taken away, or traded.
        life_s: How long it stood.
        move_bps: The mid's move meanwhile, + in its favour.
        score: In [0, 1].
    """

    order: LargeOrder
    top: OpenTop
    removed_lots: int
    life_s: float
    move_bps: float
    score: float


def gone_order(order: LargeOrder, left_lots: int, at_ns: int, top: OpenTop, settings: LevelThresholds) -> GoneOrder:
    """Judge an order that is gone.

    Args:
        order: It.
        left_lots: Size of its level now.
        at_ns: When the record was received that showed it.
        top: Of the book behind that record.
        settings: Thresholds.
    """
    removed = order.base_lots + order.added_lots - left_lots
    move_bps = order.sign * 1e4 * log(top.sum_ticks / order.sum_ticks)
    life_s = (at_ns - order.opened_ns) / NS_PER_SECOND
    score = _score(order, removed, life_s, move_bps, settings)
    return GoneOrder(order, top, removed, life_s, move_bps, score)


def _score(order: LargeOrder, removed: int, life_s: float, move_bps: float, settings: LevelThresholds) -> float:
    if life_s < settings.order_least_seconds:
        return 0.0
    cancelled = max(0.0, 1.0 - order.traded_lots / removed)
    product = (
        _clip(order.side_share / settings.order_full_share)
        * _clip((cancelled - settings.order_cancelled_share) / (1.0 - settings.order_cancelled_share))
        * _clip(move_bps / settings.order_full_move_bps)
        * _flow(order, settings)
    )
    return sqrt(sqrt(product))


def _flow(order: LargeOrder, settings: LevelThresholds) -> float:
    """How much was traded the way the order leans, and how one-sidedly; 0 without trades."""
    both = order.with_lots + order.against_lots
    if not both:
        return 0.0
    return _clip(2.0 * order.with_lots / both - 1.0) * _clip(
        order.with_lots / order.added_lots / settings.order_full_flow
    )


def _clip(value: float) -> float:
    return min(1.0, max(0.0, value))
