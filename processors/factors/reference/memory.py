"""Factors against their own past: previous events (status OK or THIN since the restart) and the last second.

Each is null where a value of that past is not known.
"""

from __future__ import annotations

from math import log, sqrt
from typing import Final

from processors.factors.reference.depth import depth_10bps
from processors.factors.reference.imbalance import obi_l1, obi_l5
from processors.factors.reference.view import BookView, total
from processors.factors.rolling import Z_EVENTS, known

FLAT_SD: Final = 1e-9
"""Below this standard deviation a z-score is noise."""
LEAST_EVENTS: Final = 2
"""Previous events obi_change_rate needs."""


def obi_change_rate(view: BookView) -> float | None:
    """obi_l5 - its mean over the previous events, at most 10; null with fewer than 2."""
    past, now = known(view.rolling.obi_l5), obi_l5(view)
    if now is None or past is None or len(past) < LEAST_EVENTS:
        return None
    return now - total(past) / len(past)


def obi_l1_z(view: BookView) -> float | None:
    """(obi_l1 - mean)/sd over the previous 20 events, sample sd; null with fewer, or where they are flat."""
    past, now = view.rolling.obi_l1, obi_l1(view)
    if now is None or len(past) < Z_EVENTS:
        return None
    mean = total(past) / len(past)
    sd = sqrt(total([(value - mean) * (value - mean) for value in past]) / (len(past) - 1))
    return (now - mean) / sd if sd >= FLAT_SD else None


def removal_ratio_1s(view: BookView) -> float | None:
    """R/(A + R): lots removed near the top over the last second, fills included; null where nothing changed there."""
    rolling = view.rolling
    additions, removals = known(rolling.added), known(rolling.removed)
    if additions is None or removals is None or not rolling.is_whole(view.received_ns):
        return None
    added, removed = sum(additions), sum(removals)
    return removed / (added + removed) if added + removed else None


def liquidity_shift(view: BookView) -> float | None:
    """ln(D / mean D of the previous 20 events), D the 10 bps notional of both sides; null with fewer or D = 0."""
    past, now = known(view.rolling.depth), depth_10bps(view)
    if past is None or len(past) < Z_EVENTS or not now:
        return None
    mean = total(past) / len(past)
    return log(now / mean) if mean else None
