"""How much rests near mid: notionals within 5, 10 and 25 bps of it (the inclusion test is in `bands.py`)."""

from __future__ import annotations

from processors.factors.reference.view import BookView, ratio


def bid_depth_5bps(view: BookView) -> float | None:
    """Bid notional within 5 bps of mid, quote units."""
    return _notional(view, view.bands.bids[0])


def bid_depth_10bps(view: BookView) -> float | None:
    """Bid notional within 10 bps of mid, quote units."""
    return _notional(view, view.bands.bids[1])


def bid_depth_25bps(view: BookView) -> float | None:
    """Bid notional within 25 bps of mid, quote units."""
    return _notional(view, view.bands.bids[2])


def ask_depth_5bps(view: BookView) -> float | None:
    """Ask notional within 5 bps of mid, quote units."""
    return _notional(view, view.bands.asks[0])


def ask_depth_10bps(view: BookView) -> float | None:
    """Ask notional within 10 bps of mid, quote units."""
    return _notional(view, view.bands.asks[1])


def ask_depth_25bps(view: BookView) -> float | None:
    """Ask notional within 25 bps of mid, quote units."""
    return _notional(view, view.bands.asks[2])


def obi_10bps(view: BookView) -> float | None:
    """Imbalance of the notionals within 10 bps, from their exact totals; null where both are 0, or one is not known."""
    bids, asks = view.bands.bids[1], view.bands.asks[1]
    return None if bids is None or asks is None else ratio(bids, asks)


def depth_10bps(view: BookView) -> float | None:
    """D: notional of both sides within 10 bps of mid, quote units; null where a band is not known."""
    bids, asks = view.bands.bids[1], view.bands.asks[1]
    return None if bids is None or asks is None else view.grid.notional(bids) + view.grid.notional(asks)


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
