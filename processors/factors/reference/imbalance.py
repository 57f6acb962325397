"""Imbalance of the two sides, in its published forms. + is bid heavy, except where the docstring says otherwise."""

from __future__ import annotations

from itertools import chain
from math import exp, sqrt
from typing import Final

from processors.factors.reference.moment import Moment, ratio, total, weighted

DECAY_BPS: Final = 5.0
"""δ of obi_decay_bps."""
LEVEL_WEIGHTS: Final = tuple(0.9**level for level in range(10))
HALVING_WEIGHTS: Final = tuple(0.5**level for level in range(10))
LEAST_LEVELS: Final = 3
"""Levels a side needs for the dispersion of sizes."""


def _obi(moment: Moment, levels: int) -> float | None:
    bids, asks = moment.bid_totals, moment.ask_totals
    return ratio(bids[min(levels, len(bids)) - 1], asks[min(levels, len(asks)) - 1])


def obi_l1(moment: Moment) -> float | None:
    """(B_1 - A_1)/(B_1 + A_1), from lots."""
    return _obi(moment, 1)


def obi_l3(moment: Moment) -> float | None:
    """(ΣB - ΣA)/(ΣB + ΣA) over the top 3, from lots."""
    return _obi(moment, 3)


def obi_l5(moment: Moment) -> float | None:
    """(ΣB - ΣA)/(ΣB + ΣA) over the top 5, from lots."""
    return _obi(moment, 5)


def obi_l10(moment: Moment) -> float | None:
    """(ΣB - ΣA)/(ΣB + ΣA) over the top 10, from lots."""
    return _obi(moment, 10)


def obi_l20(moment: Moment) -> float | None:
    """(ΣB - ΣA)/(ΣB + ΣA) over the top 20, from lots."""
    return _obi(moment, 20)


def bid_volume_l10(moment: Moment) -> float | None:
    """ΣB over the top 10, base units."""
    return moment.grid.to_base(total(moment.quotes.bids.sizes[:10]))


def ask_volume_l10(moment: Moment) -> float | None:
    """ΣA over the top 10, base units."""
    return moment.grid.to_base(total(moment.quotes.asks.sizes[:10]))


def bid_ask_ratio(moment: Moment) -> float | None:
    """ΣB/ΣA over the top 10; null where ΣA is 0."""
    asks = total(moment.quotes.asks.sizes[:10])
    return total(moment.quotes.bids.sizes[:10]) / asks if asks else None


def obi_weighted(moment: Moment) -> float | None:
    """The ratio with weight 0.9^(k-1)/(1 + |p_k - mid|/mid), top 10.

    The distance term is about 1 at any realistic distance; it is kept for comparability with published code.
    """
    bids = [weight / (1.0 + gap) for weight, gap in zip(LEVEL_WEIGHTS, moment.bid_gaps, strict=False)]
    asks = [weight / (1.0 + gap) for weight, gap in zip(LEVEL_WEIGHTS, moment.ask_gaps, strict=False)]
    return ratio(weighted(bids, moment.quotes.bids.sizes), weighted(asks, moment.quotes.asks.sizes))


def obi_decay_bps(moment: Moment) -> float | None:
    """The ratio with weight exp(-d_k/5), d_k in bps from mid, top 20.

    Weights are taken relative to those of the best levels, which are equal: the ratio is the same, and a wide spread
    cannot push all of them below the smallest float.
    """
    best = moment.bid_gaps[0]
    bids = [exp(-10_000.0 * (gap - best) / DECAY_BPS) for gap in moment.bid_gaps]
    asks = [exp(-10_000.0 * (gap - best) / DECAY_BPS) for gap in moment.ask_gaps]
    return ratio(weighted(bids, moment.quotes.bids.sizes), weighted(asks, moment.quotes.asks.sizes))


def micro_price_imb(moment: Moment) -> float | None:
    """The ratio with weight 0.5^(k-1), top 10."""
    quotes = moment.quotes
    return ratio(weighted(HALVING_WEIGHTS, quotes.bids.sizes), weighted(HALVING_WEIGHTS, quotes.asks.sizes))


def pressure_score(moment: Moment) -> float | None:
    """Σ(mid - b_k)B_k / Σ(a_k - mid)A_k, top 10. It weighs far levels more; null where the asks' sum is 0."""
    asks = weighted(moment.ask_gaps[:10], moment.quotes.asks.sizes)
    return weighted(moment.bid_gaps[:10], moment.quotes.bids.sizes) / asks if asks else None


def obi_vwap(moment: Moment) -> float | None:
    """(Σpq/Σq over the top 10 of both sides - mid)/mid. Its sign is opposite to obi: more bids pull it below 0."""
    bids, asks = moment.quotes.bids.sizes[:10], moment.quotes.asks.sizes[:10]
    size = total(chain(bids, asks))
    pull = weighted(moment.ask_gaps, asks) - weighted(moment.bid_gaps, bids)
    return pull / size if size else None


def size_dispersion(moment: Moment) -> float | None:
    """Sample standard deviation of the sizes of the top 20 of both sides, base units; null below 3 levels on a side."""
    spread = _size_spread(moment)
    return None if spread is None else moment.grid.to_base(spread[0])


def size_cv(moment: Moment) -> float | None:
    """size_dispersion over the mean of those sizes; null where it is null."""
    spread = _size_spread(moment)
    return spread[0] / spread[1] if spread and spread[1] else None


def _size_spread(moment: Moment) -> tuple[float, float] | None:
    bids, asks = moment.quotes.bids.sizes, moment.quotes.asks.sizes
    if min(len(bids), len(asks)) < LEAST_LEVELS:
        return None
    sizes = bids + asks
    mean = total(sizes) / len(sizes)
    squares = total([(size - mean) * (size - mean) for size in sizes])
    return sqrt(squares / (len(sizes) - 1)), mean
