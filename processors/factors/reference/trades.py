"""Trades: who was the aggressor, how much, how far from the mid, and how the price answered.

A record carries the trades since the delta before it, sizes signed by the aggressor; their time is the record's. On an
inverse contract a volume in base units is its worth over the mid, as that of `ofi_quotes`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import pi, sqrt
from typing import Final

from processors.factors.bars import Bars
from processors.factors.buckets import BUCKETS
from processors.factors.reference.order_flow import quotes_base
from processors.factors.reference.view import BookView, Tops, ratio, total
from processors.factors.rolling import known
from processors.factors.tape import Traded, TradeWindow
from schemas.messages import L2Record

LEAST_BARS: Final = 30
"""Bars behind Kyle's lambda."""
MILLION: Final = 1e6


def traded(record: L2Record, before: Tops, after: Tops) -> tuple[Traded, int, list[int]]:
    """What a record's trades come to; twice the mid after it, 0 where not open; the notional of each in exact units."""
    trades = [(tick, lots) for tick, lots in zip(record.trade_ticks, record.trade_lots, strict=True) if lots]
    bought = sum(lots for _, lots in trades if lots > 0)
    sold = sum(-lots for _, lots in trades if lots < 0)
    mid2, paid = before.sum_ticks, None
    if trades and before.is_open:
        paid = 20_000 * sum(lots * (2 * tick - mid2) for tick, lots in trades) / mid2
    units = [lots * (1 if after.grid.is_inverse else tick) for tick, lots in trades]
    taken = Traded(record.received_ns, bought, sold, len(trades), paid)
    return taken, after.sum_ticks if after.is_open else 0, units


def trade_buy_1s(view: BookView) -> float | None:
    """Volume that aggressive buyers took over the last second, base units; 0 without; null until LIVE for it."""
    return _volume(view, 0, is_buy=True)


def trade_sell_1s(view: BookView) -> float | None:
    """Volume that aggressive sellers gave over the last second, base units; 0 without; null until LIVE for it."""
    return _volume(view, 0, is_buy=False)


def trade_count_1s(view: BookView) -> float | None:
    """Trades over the last second; 0 without; null until LIVE for it."""
    window = _window(view, 0)
    return None if window is None else float(window.trades)


def trade_flow_1s(view: BookView) -> float | None:
    """(bought - sold)/(bought + sold) over the last second, from lots.

    Null without trades, and until LIVE for it.
    """
    window = _window(view, 0)
    return None if window is None else ratio(window.bought, window.sold)


def trade_buy_5s(view: BookView) -> float | None:
    """Volume that aggressive buyers took over the last 5 seconds, base units; 0 without; null until LIVE for it."""
    return _volume(view, 1, is_buy=True)


def trade_sell_5s(view: BookView) -> float | None:
    """Volume that aggressive sellers gave over the last 5 seconds, base units; 0 without; null until LIVE for it."""
    return _volume(view, 1, is_buy=False)


def trade_count_5s(view: BookView) -> float | None:
    """Trades over the last 5 seconds; 0 without; null until LIVE for it."""
    window = _window(view, 1)
    return None if window is None else float(window.trades)


def trade_flow_5s(view: BookView) -> float | None:
    """(bought - sold)/(bought + sold) over the last 5 seconds, from lots.

    Null without trades, and until LIVE for it.
    """
    window = _window(view, 1)
    return None if window is None else ratio(window.bought, window.sold)


def trade_buy_30s(view: BookView) -> float | None:
    """Volume that aggressive buyers took over the last 30 seconds, base units; 0 without; null until LIVE for it."""
    return _volume(view, 2, is_buy=True)


def trade_sell_30s(view: BookView) -> float | None:
    """Volume that aggressive sellers gave over the last 30 seconds, base units; 0 without; null until LIVE for it."""
    return _volume(view, 2, is_buy=False)


def trade_count_30s(view: BookView) -> float | None:
    """Trades over the last 30 seconds; 0 without; null until LIVE for it."""
    window = _window(view, 2)
    return None if window is None else float(window.trades)


def trade_flow_30s(view: BookView) -> float | None:
    """(bought - sold)/(bought + sold) over the last 30 seconds, from lots.

    Null without trades, and until LIVE for it.
    """
    window = _window(view, 2)
    return None if window is None else ratio(window.bought, window.sold)


def effective_spread_bps_1s(view: BookView) -> float | None:
    """2·10⁴·D·(price - mid)/mid weighted by size over the trades of the last second, D = 1 of buyers, -1 of sellers.

    Mid is that before the trade's record, so up to a record old; null without trades, and where one has no such mid.
    """
    window = _window(view, 0)
    if window is None or not window.records:
        return None
    paid = known([traded.paid for traded in window.records])
    return None if paid is None else total(paid) / (window.bought + window.sold)


def rv_5s(view: BookView) -> float | None:
    """Realised volatility: sqrt(Σr²/5), r the 20 newest returns of mid over whole quarters of a second, bps.

    Null until there are 20, and where the book was not open at the end of one.
    """
    squares = _squares(view.rolling.trades.quarters)
    return None if squares is None else sqrt(squares / 5.0)


def rv_60s(view: BookView) -> float | None:
    """Realised volatility: sqrt(Σr²/60), r the 60 newest returns of mid over whole seconds, bps; null as `rv_5s`."""
    squares = _squares(view.rolling.trades.seconds)
    return None if squares is None else sqrt(squares / 60.0)


def bipower_60s(view: BookView) -> float | None:
    """Volatility without jumps: sqrt(π/2·Σ|r_i||r_(i-1)|/59) over those returns; null as `rv_60s`.

    59 products cover 59 seconds (Barndorff-Nielsen and Shephard 2004).
    """
    returns = _returns(view.rolling.trades.seconds)
    if returns is None:
        return None
    products = [abs(one) * abs(other) for other, one in pairwise(returns)]
    return sqrt(pi / 2.0 * total(products) / 59.0)


def kyle_lambda_60s(view: BookView) -> float | None:
    """Slope of the returns of mid on what aggressors bought less what they sold, by whole seconds; bps per 1M quote.

    Least squares with a constant over the newest 60 seconds (after Kyle 1985). Null below 30 seconds, where one has no
    return, and where nothing was traded, or the same in each.
    """
    bars = view.rolling.trades.seconds
    returns = known(list(bars.returns))
    if returns is None or len(returns) < LEAST_BARS:
        return None
    flows = [view.grid.notional(flow) for flow in bars.flows]
    mean_flow, mean_return = total(flows) / len(flows), total(returns) / len(returns)
    away = [flow - mean_flow for flow in flows]
    spread = total([gap * gap for gap in away])
    shared = total([gap * (change - mean_return) for gap, change in zip(away, returns, strict=True)])
    return MILLION * (shared / spread) if spread else None


def vpin_exact(view: BookView) -> float | None:
    """Σ|bought - sold| of the newest 50 buckets of 10 thin_notionals each, over their volume, by the venue's sides.

    Null until 50 are full. Descriptive: it rises with volume alone (Andersen and Bondarenko 2014).
    """
    buckets = view.rolling.trades.buckets
    return sum(buckets.gaps) / (BUCKETS * buckets.size) if len(buckets.gaps) == BUCKETS else None


def _window(view: BookView, which: int) -> TradeWindow | None:
    window = view.rolling.trades.windows[which]
    return window if window.is_whole(view.received_ns) else None


def _volume(view: BookView, which: int, *, is_buy: bool) -> float | None:
    window = _window(view, which)
    return None if window is None else quotes_base(window.bought if is_buy else window.sold, view.tops)


def _returns(bars: Bars) -> Sequence[float] | None:
    returns = known(list(bars.returns))
    return returns if returns is not None and len(returns) == bars.keep else None


def _squares(bars: Bars) -> float | None:
    returns = _returns(bars)
    return None if returns is None else total([change * change for change in returns])
