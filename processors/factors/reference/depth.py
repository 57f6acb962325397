"""How much rests near mid: notionals within 5, 10 and 25 bps of it (the inclusion test is in `bands.py`)."""

from __future__ import annotations

from typing import Final

from processors.factors.reference.view import DEPTH, BookView, TopLevels, ratio, total

LEAST_LEVELS: Final = 3
"""Levels a side needs for a slope or a concentration."""


def bid_depth_5bps(view: BookView) -> float | None:
    """Bid notional within 5 bps of mid, quote units."""
    return _notional(view, view.bands.bids[0])


def bid_depth_10bps(view: BookView) -> float | None:
    """Bid notional within 10 bps of mid, quote units."""
    return _notional(view, view.bands.bids[1])


def bid_depth_25bps(view: BookView) -> float | None:
    """Bid notional within 25 bps of mid, quote units."""
    return _notional(view, view.bands.bids[3])


def ask_depth_5bps(view: BookView) -> float | None:
    """Ask notional within 5 bps of mid, quote units."""
    return _notional(view, view.bands.asks[0])


def ask_depth_10bps(view: BookView) -> float | None:
    """Ask notional within 10 bps of mid, quote units."""
    return _notional(view, view.bands.asks[1])


def ask_depth_25bps(view: BookView) -> float | None:
    """Ask notional within 25 bps of mid, quote units."""
    return _notional(view, view.bands.asks[3])


def obi_10bps(view: BookView) -> float | None:
    """Imbalance of the notionals within 10 bps, from their exact totals; null where both are 0, or one is not known."""
    bids, asks = view.bands.bids[1], view.bands.asks[1]
    return None if bids is None or asks is None else ratio(bids, asks)


def depth_10bps(view: BookView) -> float | None:
    """D: notional of both sides within 10 bps of mid, quote units; null where a band is not known."""
    bids, asks = view.bands.bids[1], view.bands.asks[1]
    return None if bids is None or asks is None else view.grid.notional(bids) + view.grid.notional(asks)


def depth_slope_bid_25bps(view: BookView) -> float | None:
    """Slope of the bid notional within x bps on x, least squares over x = 5, 10, 15, 20, 25; quote units a bps.

    Null below 3 bid levels, and where the 25 bps are not known. Points stand at fixed distances, so that a hundred
    small levels weigh no more than one large one (after Næs and Skjeltorp 2006, whose points are the levels).
    """
    return _slope(view, view.bands.bids, view.bid_levels)


def depth_slope_ask_25bps(view: BookView) -> float | None:
    """Slope of the ask notional within x bps on x, least squares over x = 5, 10, 15, 20, 25; quote units a bps.

    Null below 3 ask levels, and where the 25 bps are not known.
    """
    return _slope(view, view.bands.asks, view.ask_levels)


def hhi_bid_l20(view: BookView) -> float | None:
    """Herfindahl index Σ share² of the bid notionals, top 20: 1/n of equal levels, 1 where one is all.

    It is about level sizes: books of levels know no orders. Null below 3 levels, and where the top 20 are not known.
    """
    return _concentration(view, view.tops.bids)


def hhi_ask_l20(view: BookView) -> float | None:
    """Herfindahl index Σ share² of the ask notionals, top 20; null as that of the bids."""
    return _concentration(view, view.tops.asks)


def confidence(view: BookView) -> float | None:
    """min(1, N/(10·T)), N the top-10 notional of both sides, T the instrument's thin_notional."""
    return min(1.0, view.notional / (10.0 * view.thin_notional)) if view.tops.knows(10) else None


def bid_known_bps(view: BookView) -> float | None:
    """10⁴·(mid - p)/mid, p the lowest price up to which no bid is missing; null where every bid is known."""
    return _known_bps(view, view.tops.bid_limit, 1)


def ask_known_bps(view: BookView) -> float | None:
    """10⁴·(p - mid)/mid, p the highest price up to which no ask is missing; null where every ask is known."""
    return _known_bps(view, view.tops.ask_limit, -1)


def _known_bps(view: BookView, limit: int | None, sign: int) -> float | None:
    return None if limit is None else 10_000 * sign * (view.tops.sum_ticks - 2 * limit) / view.tops.sum_ticks


def _notional(view: BookView, total: int | None) -> float | None:
    return None if total is None else view.grid.notional(total)


def _slope(view: BookView, totals: list[int | None], levels: int) -> float | None:
    """Least squares over five equal steps: Σ(x - 15)·D_x / Σ(x - 15)², in which D_15 has no weight."""
    at_5, at_10, at_20, at_25 = totals
    if levels < LEAST_LEVELS or at_5 is None or at_10 is None or at_20 is None or at_25 is None:
        return None
    return view.grid.notional(2 * (at_25 - at_5) + at_20 - at_10) / 50.0


def _concentration(view: BookView, top: TopLevels) -> float | None:
    if not top.knows(DEPTH) or len(top.ticks) < LEAST_LEVELS:
        return None
    is_inverse = view.grid.is_inverse
    notionals = [
        float(lots) if is_inverse else float(ticks) * float(lots)
        for ticks, lots in zip(top.ticks, top.lots, strict=True)
    ]
    whole = total(notionals)
    if not whole:
        return None
    shares = [notional / whole for notional in notionals]
    return total([share * share for share in shares])
