"""The numbers of a window that are shown: to a language model, and in the sentences that stand with each regime.

Sizes are relative to the depth, so that a question is about a market and not about its units; three significant digits,
so that equal states are equal questions. The rules' own scores are not among them: a model that sees those can only
repeat their thresholds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import sqrt
from typing import Final

import msgspec

from processors.regimes.state import Closed
from processors.regimes.window import WINDOW_NS, WindowSummary
from schemas.messages import Regime
from schemas.units import NS_PER_SECOND

Series = tuple[float | None, ...]
WINDOW_SECONDS: Final = WINDOW_NS // NS_PER_SECOND


class ShownNumbers(msgspec.Struct, frozen=True):
    """What is shown of a closed window and those before it, oldest first; null is no value.

    Attributes:
        windows, window_seconds: How many windows, and how long each is.
        return_bps: Change of the mid over each window, bps.
        volatility_bps: Square root of its realised variance, bps.
        imbalance: Mean imbalance of the notionals near the mid, in [-1, 1].
        flow_over_depth: Order flow at the best prices over the depth near the mid.
        spread_bps: Mean spread, bps.
        trade_flow_over_volume: What aggressive buyers took less what aggressive sellers gave over what both traded, in
            the five seconds up to each window's last usable event, in [-1, 1].
        obi_l1_last, obi_l5_last: Imbalance of the best and of the five best levels, at the end.
        flow_1s_over_depth_last: Order flow of the last second over the depth, at the end.
        history_minutes: For how long the instrument has been watched without a break.
        rule_label, rule_label_seconds: The rules' label, and for how long it has stood.
    """

    windows: int
    window_seconds: int
    return_bps: Series
    volatility_bps: Series
    imbalance: Series
    flow_over_depth: Series
    spread_bps: Series
    trade_flow_over_volume: Series
    obi_l1_last: float | None
    obi_l5_last: float | None
    flow_1s_over_depth_last: float | None
    history_minutes: float | None
    rule_label: Regime
    rule_label_seconds: int

    def numbers(self) -> Iterator[float]:
        """Every number in it."""
        for value in msgspec.structs.astuple(self):
            for one in value if isinstance(value, tuple) else (value,):
                if isinstance(one, int | float):
                    yield float(one)


def shown(closed: Closed) -> ShownNumbers:
    """What is shown of a closed window."""
    windows, last = closed.recent, closed.window
    return ShownNumbers(
        windows=len(windows),
        window_seconds=WINDOW_SECONDS,
        return_bps=_series(window.return_bps for window in windows),
        volatility_bps=_series(_volatility_bps(window) for window in windows),
        imbalance=_series(window.imbalance for window in windows),
        flow_over_depth=_series(_over_depth(window.order_flow, window) for window in windows),
        spread_bps=_series(window.spread_bps for window in windows),
        trade_flow_over_volume=_series(map(_trade_flow_over_volume, windows)),
        obi_l1_last=rounded(last.obi_l1_last),
        obi_l5_last=rounded(last.obi_l5_last),
        flow_1s_over_depth_last=rounded(_over_depth(last.ofi_l1_1s_last, last)),
        history_minutes=rounded((last.end_ns - closed.began_ns) / (60 * NS_PER_SECOND)),
        rule_label=closed.verdict.label,
        rule_label_seconds=closed.verdict.held * WINDOW_SECONDS,
    )


def rounded(value: float | None) -> float | None:
    """Three significant digits."""
    return None if value is None else float(f"{value:.3g}")


def _series(values: Iterable[float | None]) -> Series:
    return tuple(map(rounded, values))


def _volatility_bps(window: WindowSummary) -> float | None:
    return None if window.realised_variance is None else 1e4 * sqrt(window.realised_variance)


def _trade_flow_over_volume(window: WindowSummary) -> float | None:
    return None if window.trade_flow is None or not window.trade_volume else window.trade_flow / window.trade_volume


def _over_depth(size: float | None, window: WindowSummary) -> float | None:
    """A size in base units as a share of the depth."""
    if size is None or window.mid is None or not window.depth:
        return None
    return size * window.mid / window.depth
