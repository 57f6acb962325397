"""Order flow imbalance (Cont, Kukanov, Stoikov 2014): what a record added to and took from the queues.

At level m, with P, q the m-th occupied price and its size, before and after the record:
e = q_b·1[P_b ≥ P_b'] - q_b'·1[P_b ≤ P_b'] - q_a·1[P_a ≤ P_a'] + q_a'·1[P_a ≥ P_a'] (' is before).
"Before" is the book before this record, whatever its status; the record that makes a book LIVE has none.

A record sums up 50 to 100 ms: between its two books the best quotes moved, and came back, unseen. `ofi_l1` and `ofi_l5`
are the flow between the books of two records; `ofi_quotes` is the flow of every update of the best quotes in between.
"""

from __future__ import annotations

from itertools import takewhile
from math import isfinite
from typing import Final

from processors.factors.reference.view import BookView, TopLevels, Tops, total, weighted
from processors.factors.rolling import known

LEVELS: Final = 5
DEEP: Final = 10
"""Levels of multi-level order flow (Xu, Gould, Howison 2018)."""


def ofi_l1(view: BookView) -> float | None:
    """Flow e at the best level, base units; null on the event that makes a book LIVE or where a best was missing."""
    return _to_base(view, flow_l1(view))


def ofi_l5(view: BookView) -> float | None:
    """Σe over levels 1 to 5, base units; null where any of them is missing before or after."""
    return _to_base(view, _flow(view, LEVELS))


def ofi_l1_1s(view: BookView) -> float | None:
    """Sum of ofi_l1 over the last second, base units.

    Events without one are skipped; null where none has one, and until the book has been LIVE for a second.
    """
    return _to_base(view, view.rolling.flow()) if view.rolling.is_whole(view.received_ns) else None


def mlofi_1_1s(view: BookView) -> float | None:
    """Sum of e at level 1 over the last second, base units.

    Null where a record of it lacks the level before or after, where there are more records than are remembered, and
    until the book has been LIVE for a second.
    """
    return _level(view, 1)


def mlofi_2_1s(view: BookView) -> float | None:
    """Sum of e at level 2 over the last second, base units; null as `mlofi_1_1s`."""
    return _level(view, 2)


def mlofi_3_1s(view: BookView) -> float | None:
    """Sum of e at level 3 over the last second, base units; null as `mlofi_1_1s`."""
    return _level(view, 3)


def mlofi_4_1s(view: BookView) -> float | None:
    """Sum of e at level 4 over the last second, base units; null as `mlofi_1_1s`."""
    return _level(view, 4)


def mlofi_5_1s(view: BookView) -> float | None:
    """Sum of e at level 5 over the last second, base units; null as `mlofi_1_1s`."""
    return _level(view, 5)


def mlofi_6_1s(view: BookView) -> float | None:
    """Sum of e at level 6 over the last second, base units; null as `mlofi_1_1s`."""
    return _level(view, 6)


def mlofi_7_1s(view: BookView) -> float | None:
    """Sum of e at level 7 over the last second, base units; null as `mlofi_1_1s`."""
    return _level(view, 7)


def mlofi_8_1s(view: BookView) -> float | None:
    """Sum of e at level 8 over the last second, base units; null as `mlofi_1_1s`."""
    return _level(view, 8)


def mlofi_9_1s(view: BookView) -> float | None:
    """Sum of e at level 9 over the last second, base units; null as `mlofi_1_1s`."""
    return _level(view, 9)


def mlofi_10_1s(view: BookView) -> float | None:
    """Sum of e at level 10 over the last second, base units; null as `mlofi_1_1s`."""
    return _level(view, 10)


def integrated_ofi_1s(view: BookView) -> float | None:
    """Σ w_m·(flow at level m over the last second) / (mean size of a level · Σ|w|) (Cont, Cucuringu, Zhang 2023).

    w and the mean size are those of the dated table in the settings; null without it, and where a level's flow is null.
    """
    flows = [_level(view, level) for level in range(1, len(view.weights.weights) + 1)]
    if not flows or None in flows:
        return None
    return weighted(view.weights.weights, flows) / view.weights.scale  # type: ignore[arg-type] # none of them is None


def ofi_quotes(view: BookView) -> float | None:
    """Flow e summed over every update of the best quotes since the previous record, base units.

    The venue's own best quotes, each against the one before it, in its order; null on a snapshot and where the record
    carries none (the stream is not subscribed, or had a hole). A contract of an inverse instrument is worth its value
    over mid.
    """
    return quotes_base(view.flow, view.tops)


def ofi_quotes_1s(view: BookView) -> float | None:
    """Sum of ofi_quotes over the last second, base units.

    Null where a record of it has none, and until the book has been LIVE for a second.
    """
    past = known(view.rolling.quotes)
    return total(past) if past and view.rolling.is_whole(view.received_ns) else None


def quotes_base(flow_lots: int | None, tops: Tops) -> float | None:
    """Flow at the best quotes in base units; None where there is none, or on an inverse contract without a mid."""
    grid = tops.grid
    if flow_lots is None or (grid.is_inverse and not tops.sum_ticks):
        return None
    return grid.size(flow_lots) / (grid.price(tops.sum_ticks) / 2 if grid.is_inverse else 1.0)


def flow_l1(view: BookView) -> float | None:
    """Flow at the best level, proportional to base units: what windows keep, so that sums of whole lots are exact."""
    return _flow(view, 1)


def flows_by_level(view: BookView) -> tuple[float, ...]:
    """Flow at levels 1 to 10, as far as both books have them, proportional to base units."""
    if view.before is None:
        return ()
    levels = range(min(_depth(view.before), _depth(view.tops), DEEP))
    return tuple(takewhile(isfinite, (_flow_at(view.before, view.tops, level) for level in levels)))


def _level(view: BookView, level: int) -> float | None:
    if not view.rolling.is_whole(view.received_ns):
        return None
    flows = view.rolling.flows_at(level)
    return _to_base(view, total(flows)) if flows else None


def _flow(view: BookView, levels: int) -> float | None:
    before, after = view.before, view.tops
    if before is None or min(_depth(before), _depth(after)) < levels:
        return None  # missing, or not known
    flow = 0.0
    for level in range(levels):
        flow += _flow_at(before, after, level)
    return flow


def _flow_at(before: Tops, after: Tops, level: int) -> float:
    return _bid_flow(before.bids, after.bids, level) - _ask_flow(before.asks, after.asks, level)


def _to_base(view: BookView, flow: float | None) -> float | None:
    return None if flow is None else view.grid.to_base(flow)


def _depth(tops: Tops) -> int:
    return min(len(tops.bids.ticks), len(tops.asks.ticks))


def _bid_flow(before: TopLevels, after: TopLevels, level: int) -> float:
    was, now = before.ticks[level], after.ticks[level]
    gained = after.sizes[level] if now >= was else 0.0
    lost = before.sizes[level] if now <= was else 0.0
    return gained - lost


def _ask_flow(before: TopLevels, after: TopLevels, level: int) -> float:
    was, now = before.ticks[level], after.ticks[level]
    gained = after.sizes[level] if now <= was else 0.0
    lost = before.sizes[level] if now >= was else 0.0
    return gained - lost
