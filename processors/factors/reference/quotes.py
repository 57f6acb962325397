"""The top of the book: prices, sizes, spread, level counts. They exist wherever the sides they need exist."""

from __future__ import annotations

from processors.factors.reference.moment import Moment, Top


def best_bid(moment: Moment) -> float | None:
    """b_1, quote units."""
    return _price(moment, moment.quotes.bids)


def best_ask(moment: Moment) -> float | None:
    """a_1, quote units."""
    return _price(moment, moment.quotes.asks)


def best_bid_size(moment: Moment) -> float | None:
    """B_1, base units."""
    return _size(moment, moment.quotes.bids)


def best_ask_size(moment: Moment) -> float | None:
    """A_1, base units."""
    return _size(moment, moment.quotes.asks)


def mid(moment: Moment) -> float | None:
    """(b_1 + a_1)/2, quote units, correctly rounded."""
    quotes = moment.quotes
    return moment.grid.mid(quotes.bids.ticks[0], quotes.asks.ticks[0]) if quotes.is_two_sided else None


def spread(moment: Moment) -> float | None:
    """a_1 - b_1, quote units; 0 on a locked book, negative on a crossed one."""
    quotes = moment.quotes
    return moment.grid.price(quotes.asks.ticks[0] - quotes.bids.ticks[0]) if quotes.is_two_sided else None


def spread_bps(moment: Moment) -> float | None:
    """10⁴·spread/mid; null where mid is 0."""
    quotes = moment.quotes
    if not quotes.sum_ticks:
        return None
    return 20_000 * (quotes.asks.ticks[0] - quotes.bids.ticks[0]) / quotes.sum_ticks


def bid_levels(moment: Moment) -> float | None:
    """Number of bid levels of the whole book."""
    return float(moment.bid_levels)


def ask_levels(moment: Moment) -> float | None:
    """Number of ask levels of the whole book."""
    return float(moment.ask_levels)


def _price(moment: Moment, top: Top) -> float | None:
    return moment.grid.price(top.ticks[0]) if top.ticks else None


def _size(moment: Moment, top: Top) -> float | None:
    return moment.grid.base_size(top.ticks[0], top.lots[0]) if top.ticks else None
