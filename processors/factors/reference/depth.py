"""How much rests near mid: notionals within 5, 10 and 25 bps of it (the inclusion test is in `bands.py`)."""

from __future__ import annotations

from processors.factors.reference.moment import Moment, ratio


def bid_depth_5bps(moment: Moment) -> float | None:
    """Bid notional within 5 bps of mid, quote units."""
    return moment.grid.notional(moment.bands.bids[0])


def bid_depth_10bps(moment: Moment) -> float | None:
    """Bid notional within 10 bps of mid, quote units."""
    return moment.grid.notional(moment.bands.bids[1])


def bid_depth_25bps(moment: Moment) -> float | None:
    """Bid notional within 25 bps of mid, quote units."""
    return moment.grid.notional(moment.bands.bids[2])


def ask_depth_5bps(moment: Moment) -> float | None:
    """Ask notional within 5 bps of mid, quote units."""
    return moment.grid.notional(moment.bands.asks[0])


def ask_depth_10bps(moment: Moment) -> float | None:
    """Ask notional within 10 bps of mid, quote units."""
    return moment.grid.notional(moment.bands.asks[1])


def ask_depth_25bps(moment: Moment) -> float | None:
    """Ask notional within 25 bps of mid, quote units."""
    return moment.grid.notional(moment.bands.asks[2])


def obi_10bps(moment: Moment) -> float | None:
    """Imbalance of the notionals within 10 bps, from their exact totals; null where both are 0."""
    return ratio(moment.bands.bids[1], moment.bands.asks[1])


def depth_10bps(moment: Moment) -> float:
    """D: notional of both sides within 10 bps of mid, quote units."""
    return moment.grid.notional(moment.bands.bids[1]) + moment.grid.notional(moment.bands.asks[1])


def confidence(moment: Moment) -> float | None:
    """min(1, N/(10·T)), N the top-10 notional of both sides, T the instrument's thin_notional."""
    return min(1.0, moment.notional / (10.0 * moment.thin_notional))
