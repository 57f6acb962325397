"""How much rests near mid: notionals within 5, 10 and 25 bps of it (the inclusion test is in `bands.py`)."""

from __future__ import annotations

from processors.factors.reference.view import BookView, ratio


def bid_depth_5bps(view: BookView) -> float | None:
    """Bid notional within 5 bps of mid, quote units."""
    return view.grid.notional(view.bands.bids[0])


def bid_depth_10bps(view: BookView) -> float | None:
    """Bid notional within 10 bps of mid, quote units."""
    return view.grid.notional(view.bands.bids[1])


def bid_depth_25bps(view: BookView) -> float | None:
    """Bid notional within 25 bps of mid, quote units."""
    return view.grid.notional(view.bands.bids[2])


def ask_depth_5bps(view: BookView) -> float | None:
    """Ask notional within 5 bps of mid, quote units."""
    return view.grid.notional(view.bands.asks[0])


def ask_depth_10bps(view: BookView) -> float | None:
    """Ask notional within 10 bps of mid, quote units."""
    return view.grid.notional(view.bands.asks[1])


def ask_depth_25bps(view: BookView) -> float | None:
    """Ask notional within 25 bps of mid, quote units."""
    return view.grid.notional(view.bands.asks[2])


def obi_10bps(view: BookView) -> float | None:
    """Imbalance of the notionals within 10 bps, from their exact totals; null where both are 0."""
    return ratio(view.bands.bids[1], view.bands.asks[1])


def depth_10bps(view: BookView) -> float:
    """D: notional of both sides within 10 bps of mid, quote units."""
    return view.grid.notional(view.bands.bids[1]) + view.grid.notional(view.bands.asks[1])


def confidence(view: BookView) -> float | None:
    """min(1, N/(10·T)), N the top-10 notional of both sides, T the instrument's thin_notional."""
    return min(1.0, view.notional / (10.0 * view.thin_notional))
