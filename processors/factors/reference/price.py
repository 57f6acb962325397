"""Estimates of the price between the quotes."""

from __future__ import annotations

from processors.factors.reference.imbalance import obi_l1
from processors.factors.reference.moment import Moment


def weighted_mid(moment: Moment) -> float | None:
    """(b_1·A_1 + a_1·B_1)/(A_1 + B_1), quote units: never outside the quote.

    Computed as b_1 plus the bid's share of the spread, in ticks: no cancellation, and rounding cannot leave the quote.
    """
    quotes = moment.quotes
    bid, ask = quotes.bids.sizes[0], quotes.asks.sizes[0]
    if not bid + ask:
        return None
    ticks = quotes.bids.ticks[0] + (quotes.asks.ticks[0] - quotes.bids.ticks[0]) * (bid / (bid + ask))
    return moment.grid.price(ticks)


def weighted_mid_adjusted(moment: Moment) -> float | None:
    """weighted_mid + 0.5·obi_l1·spread/2, quote units. It can leave the quote."""
    middle, imbalance = weighted_mid(moment), obi_l1(moment)
    if middle is None or imbalance is None:
        return None
    spread = moment.grid.price(moment.quotes.asks.ticks[0] - moment.quotes.bids.ticks[0])
    return middle + 0.5 * imbalance * spread / 2
