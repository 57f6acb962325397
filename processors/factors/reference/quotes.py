"""The top of the book: prices, sizes, spread, level counts. They exist wherever the sides they need exist."""

from __future__ import annotations

from processors.factors.reference.view import BookView, TopLevels


def best_bid(view: BookView) -> float | None:
    """b_1, quote units."""
    return _price(view, view.tops.bids)


def best_ask(view: BookView) -> float | None:
    """a_1, quote units."""
    return _price(view, view.tops.asks)


def best_bid_size(view: BookView) -> float | None:
    """B_1, base units."""
    return _size(view, view.tops.bids)


def best_ask_size(view: BookView) -> float | None:
    """A_1, base units."""
    return _size(view, view.tops.asks)


def mid(view: BookView) -> float | None:
    """(b_1 + a_1)/2, quote units, correctly rounded."""
    tops = view.tops
    return view.grid.mid(tops.bids.ticks[0], tops.asks.ticks[0]) if tops.is_two_sided else None


def spread(view: BookView) -> float | None:
    """a_1 - b_1, quote units; 0 on a locked book, negative on a crossed one."""
    tops = view.tops
    return view.grid.price(tops.asks.ticks[0] - tops.bids.ticks[0]) if tops.is_two_sided else None


def spread_bps(view: BookView) -> float | None:
    """10⁴·spread/mid; null where mid is 0."""
    tops = view.tops
    if not tops.sum_ticks:
        return None
    return 20_000 * (tops.asks.ticks[0] - tops.bids.ticks[0]) / tops.sum_ticks


def bid_levels(view: BookView) -> float | None:
    """Number of bid levels within what is known."""
    return float(view.bid_levels)


def ask_levels(view: BookView) -> float | None:
    """Number of ask levels within what is known."""
    return float(view.ask_levels)


def _price(view: BookView, top: TopLevels) -> float | None:
    return view.grid.price(top.ticks[0]) if top.ticks else None


def _size(view: BookView, top: TopLevels) -> float | None:
    return view.grid.base_size(top.ticks[0], top.lots[0]) if top.ticks else None
