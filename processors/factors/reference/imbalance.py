"""Imbalance of the two sides, in its published forms. + is bid heavy, except where the docstring says otherwise.

Each is null where one of the levels it reads is not known.
"""

from __future__ import annotations

from itertools import chain
from math import exp, sqrt
from typing import Final

from processors.factors.reference.view import BookView, ratio, total, weighted

DECAY_BPS: Final = 5.0
"""δ of obi_decay_bps."""
LEVEL_WEIGHTS: Final = tuple(0.9**level for level in range(10))
HALVING_WEIGHTS: Final = tuple(0.5**level for level in range(10))
LEAST_LEVELS: Final = 3
"""Levels a side needs for the dispersion of sizes."""


def _obi(view: BookView, levels: int) -> float | None:
    if not view.tops.knows(levels):
        return None
    bids, asks = view.bid_totals, view.ask_totals
    return ratio(bids[min(levels, len(bids)) - 1], asks[min(levels, len(asks)) - 1])


def obi_l1(view: BookView) -> float | None:
    """(B_1 - A_1)/(B_1 + A_1), from lots."""
    return _obi(view, 1)


def obi_l3(view: BookView) -> float | None:
    """(ΣB - ΣA)/(ΣB + ΣA) over the top 3, from lots."""
    return _obi(view, 3)


def obi_l5(view: BookView) -> float | None:
    """(ΣB - ΣA)/(ΣB + ΣA) over the top 5, from lots."""
    return _obi(view, 5)


def obi_l10(view: BookView) -> float | None:
    """(ΣB - ΣA)/(ΣB + ΣA) over the top 10, from lots."""
    return _obi(view, 10)


def obi_l20(view: BookView) -> float | None:
    """(ΣB - ΣA)/(ΣB + ΣA) over the top 20, from lots."""
    return _obi(view, 20)


def bid_volume_l10(view: BookView) -> float | None:
    """ΣB over the top 10, base units."""
    return view.grid.to_base(total(view.tops.bids.sizes[:10])) if view.tops.bids.knows(10) else None


def ask_volume_l10(view: BookView) -> float | None:
    """ΣA over the top 10, base units."""
    return view.grid.to_base(total(view.tops.asks.sizes[:10])) if view.tops.asks.knows(10) else None


def bid_ask_ratio(view: BookView) -> float | None:
    """ΣB/ΣA over the top 10; null where ΣA is 0."""
    if not view.tops.knows(10):
        return None
    asks = total(view.tops.asks.sizes[:10])
    return total(view.tops.bids.sizes[:10]) / asks if asks else None


def obi_weighted(view: BookView) -> float | None:
    """The ratio with weight 0.9^(k-1)/(1 + |p_k - mid|/mid), top 10.

    The distance term is about 1 at any realistic distance; it is kept for comparability with published code.
    """
    if not view.tops.knows(10):
        return None
    bids = [weight / (1.0 + gap) for weight, gap in zip(LEVEL_WEIGHTS, view.bid_gaps, strict=False)]
    asks = [weight / (1.0 + gap) for weight, gap in zip(LEVEL_WEIGHTS, view.ask_gaps, strict=False)]
    return ratio(weighted(bids, view.tops.bids.sizes), weighted(asks, view.tops.asks.sizes))


def obi_decay_bps(view: BookView) -> float | None:
    """The ratio with weight exp(-d_k/5), d_k in bps from mid, top 20.

    Weights are taken relative to those of the best levels, which are equal: the ratio is the same, and a wide spread
    cannot push all of them below the smallest float.
    """
    if not view.tops.knows(20):
        return None
    best = view.bid_gaps[0]
    bids = [exp(-10_000.0 * (gap - best) / DECAY_BPS) for gap in view.bid_gaps]
    asks = [exp(-10_000.0 * (gap - best) / DECAY_BPS) for gap in view.ask_gaps]
    return ratio(weighted(bids, view.tops.bids.sizes), weighted(asks, view.tops.asks.sizes))


def micro_price_imb(view: BookView) -> float | None:
    """The ratio with weight 0.5^(k-1), top 10."""
    if not view.tops.knows(10):
        return None
    tops = view.tops
    return ratio(weighted(HALVING_WEIGHTS, tops.bids.sizes), weighted(HALVING_WEIGHTS, tops.asks.sizes))


def pressure_score(view: BookView) -> float | None:
    """Σ(mid - b_k)B_k / Σ(a_k - mid)A_k, top 10. It weighs far levels more; null where the asks' sum is 0."""
    if not view.tops.knows(10):
        return None
    asks = weighted(view.ask_gaps[:10], view.tops.asks.sizes)
    return weighted(view.bid_gaps[:10], view.tops.bids.sizes) / asks if asks else None


def obi_vwap(view: BookView) -> float | None:
    """(Σpq/Σq over the top 10 of both sides - mid)/mid. Its sign is opposite to obi: more bids pull it below 0."""
    if not view.tops.knows(10):
        return None
    bids, asks = view.tops.bids.sizes[:10], view.tops.asks.sizes[:10]
    size = total(chain(bids, asks))
    pull = weighted(view.ask_gaps, asks) - weighted(view.bid_gaps, bids)
    return pull / size if size else None


def size_dispersion(view: BookView) -> float | None:
    """Sample standard deviation of the sizes of the top 20 of both sides, base units; null below 3 levels on a side."""
    spread = _size_spread(view)
    return None if spread is None else view.grid.to_base(spread[0])


def size_cv(view: BookView) -> float | None:
    """size_dispersion over the mean of those sizes; null as `size_dispersion`."""
    spread = _size_spread(view)
    return spread[0] / spread[1] if spread and spread[1] else None


def _size_spread(view: BookView) -> tuple[float, float] | None:
    bids, asks = view.tops.bids.sizes, view.tops.asks.sizes
    if not view.tops.knows(20) or min(len(bids), len(asks)) < LEAST_LEVELS:
        return None
    sizes = bids + asks
    mean = total(sizes) / len(sizes)
    squares = total([(size - mean) * (size - mean) for size in sizes])
    return sqrt(squares / (len(sizes) - 1)), mean
