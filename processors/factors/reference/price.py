"""Estimates of the price between the quotes."""

from __future__ import annotations

from processors.factors.reference.imbalance import obi_l1
from processors.factors.reference.view import BookView


def weighted_mid(view: BookView) -> float | None:
    """(b_1·A_1 + a_1·B_1)/(A_1 + B_1), quote units: never outside the quote.

    Computed as b_1 plus the bid's share of the spread, in ticks: no cancellation, and rounding cannot leave the quote.
    """
    tops = view.tops
    bid, ask = tops.bids.sizes[0], tops.asks.sizes[0]
    if not bid + ask:
        return None
    ticks = tops.bids.ticks[0] + (tops.asks.ticks[0] - tops.bids.ticks[0]) * (bid / (bid + ask))
    return view.grid.price(ticks)


def weighted_mid_adjusted(view: BookView) -> float | None:
    """weighted_mid + 0.5·obi_l1·spread/2, quote units. It can leave the quote."""
    middle, imbalance = weighted_mid(view), obi_l1(view)
    if middle is None or imbalance is None:
        return None
    spread = view.grid.price(view.tops.asks.ticks[0] - view.tops.bids.ticks[0])
    return middle + 0.5 * imbalance * spread / 2
