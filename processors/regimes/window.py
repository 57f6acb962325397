"""Windows of factor events: what one instrument did in five seconds of `received_ns`.

A window is closed by the instrument's first event at or past its end, so that the result depends on events alone and
never on a clock: an empty window gives nothing, and the one still open at the end of a stream gives nothing.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import msgspec

from processors.derived.averages import HeldMean
from schemas.factors import FACTOR_INDEX
from schemas.messages import FactorEvent, Status
from schemas.units import NS_PER_SECOND

WINDOW_NS = 5 * NS_PER_SECOND

_MID = FACTOR_INDEX["mid"]
_SPREAD_BPS = FACTOR_INDEX["spread_bps"]
_OBI_L1 = FACTOR_INDEX["obi_l1"]
_OBI_L5 = FACTOR_INDEX["obi_l5"]
_OBI_10BPS = FACTOR_INDEX["obi_10bps"]
_OFI_L1 = FACTOR_INDEX["ofi_l1"]
_OFI_L1_1S = FACTOR_INDEX["ofi_l1_1s"]
_BID_DEPTH = FACTOR_INDEX["bid_depth_10bps"]
_ASK_DEPTH = FACTOR_INDEX["ask_depth_10bps"]
_BOUGHT = FACTOR_INDEX["trade_buy_5s"]
_SOLD = FACTOR_INDEX["trade_sell_5s"]
_TRADES = FACTOR_INDEX["trade_count_5s"]
_USABLE = (Status.OK, Status.THIN)
_SHARES = (_OBI_L1, _OBI_L5, _OBI_10BPS)
_TRADED = (_BOUGHT, _SOLD, _TRADES)
_USED = (_MID, _SPREAD_BPS, *_SHARES, _OFI_L1, _OFI_L1_1S, _BID_DEPTH, _ASK_DEPTH, *_TRADED)
_LEAST, _LARGEST = 1e-100, 1e100
LATEST_NS = 2**63 - 1 - 2 * WINDOW_NS
"""Latest time whose window still has an end that fits a record."""


class WindowSummary(msgspec.Struct, frozen=True):
    """One closed window.

    Attributes:
        start_ns, end_ns: The window is [start_ns, end_ns) of `received_ns`, aligned to the epoch.
        events: Events in it.
        usable_events: Those with status OK or THIN.
        whole: No event of the window was RESYNCING: nothing is missing inside it.
        mid: Last usable mid; null where there was none.
        return_bps: Change of the mid since the last usable mid before the window, in bps; null without both.
        imbalance: Mean of `obi_10bps` by the time it held, that from before the window included; null where it had no
            value, or the book was not usable, all along.
        order_flow: Sum of `ofi_l1`, base units, over the usable events that have it.
        depth: Mean notional within 10 bps of mid, both sides, quote units, by the time it held.
        spread_bps: Mean spread, by the time it held.
        obi_l1_last, obi_l5_last, ofi_l1_1s_last: These factors of the last usable event.
        trade_flow: What aggressive buyers took less what aggressive sellers gave over the five seconds up to the last
            usable event, base units; null without a trade in them, and where they are not known.
        trade_volume: What both traded over the same seconds, base units; likewise.
        realised_variance: Sum of squared log returns of the mid on a one-second previous-tick grid; null where it
            is not whole.
    """

    start_ns: int
    end_ns: int
    events: int
    usable_events: int
    whole: bool
    mid: float | None
    return_bps: float | None
    imbalance: float | None
    order_flow: float | None
    depth: float | None
    spread_bps: float | None
    obi_l1_last: float | None
    obi_l5_last: float | None
    ofi_l1_1s_last: float | None
    trade_flow: float | None
    trade_volume: float | None
    realised_variance: float | None


class TradedVolumes(NamedTuple):
    """What was traded over the five seconds up to an event, base units, by who was the aggressor."""

    bought: float
    sold: float


class OpenWindow(msgspec.Struct):
    """The window being filled. Serialisable as it stands: it is part of the checkpoint.

    Attributes:
        mid_before: Mid known when the window began.
        grid_mid, grid_ns: Mid at the last one-second mark, and the next mark.
        broken: The book broke since the last usable event, so that no mid is known any more.
        squares: Sum of squared log returns from mark to mark.
        imbalance, depth, spread_bps: What held, and their means.
        last: `obi_l1`, `obi_l5` and `ofi_l1_1s` of the last usable event.
        traded: What was traded up to that event; null without a trade, and where it is not known.
    """

    start_ns: int
    mid_before: float | None
    grid_mid: float | None
    grid_ns: int
    imbalance: HeldMean
    depth: HeldMean
    spread_bps: HeldMean
    mid: float | None = None
    events: int = 0
    usable_events: int = 0
    whole: bool = True
    broken: bool = False
    squares: float = 0.0
    order_flow: float | None = None
    last: tuple[float | None, float | None, float | None] = (None, None, None)
    traded: TradedVolumes | None = None

    @classmethod
    def starting(cls, received_ns: int, before: OpenWindow | None = None) -> OpenWindow:
        """The window that holds `received_ns`, with what held when the one before it ended."""
        start_ns = received_ns - received_ns % WINDOW_NS
        mid = None if before is None else before.known_mid
        return cls(
            start_ns=start_ns,
            mid_before=mid,
            grid_mid=mid,
            grid_ns=start_ns + NS_PER_SECOND,
            imbalance=HeldMean(start_ns, None if before is None else before.imbalance.value),
            depth=HeldMean(start_ns, None if before is None else before.depth.value),
            spread_bps=HeldMean(start_ns, None if before is None else before.spread_bps.value),
        )

    @property
    def end_ns(self) -> int:
        """First nanosecond past the window."""
        return self.start_ns + WINDOW_NS

    @property
    def known_mid(self) -> float | None:
        """Mid that the next window starts from; null where the book broke since, as no return spans a hole."""
        if self.broken:
            return None
        return self.mid if self.mid is not None else self.mid_before

    def add(self, event: FactorEvent) -> None:
        """Add an event that lies in the window."""
        self._close_grid(event.received_ns)
        self.events += 1
        if event.status is Status.RESYNCING:
            self.whole, self.broken = False, True
        if event.status not in _USABLE:
            self._hold(event.received_ns, None, None, None)
            return
        self.broken = False
        values = event.values
        self.usable_events += 1
        self.mid = values[_MID]
        self.last = (values[_OBI_L1], values[_OBI_L5], values[_OFI_L1_1S])
        self.traded = _traded(event)
        if (flow := values[_OFI_L1]) is not None:
            self.order_flow = (self.order_flow or 0.0) + flow
        depth = _sum_of(values[_BID_DEPTH], values[_ASK_DEPTH])
        self._hold(event.received_ns, values[_OBI_10BPS], depth, values[_SPREAD_BPS])

    def _hold(self, at_ns: int, imbalance: float | None, depth: float | None, spread_bps: float | None) -> None:
        """Say what holds from a moment on: a book that is not usable says nothing."""
        for held, value in ((self.imbalance, imbalance), (self.depth, depth), (self.spread_bps, spread_bps)):
            held.advance(at_ns)
            held.value = value

    def _close_grid(self, until_ns: int) -> None:
        """Take the one-second marks up to `until_ns`: the mid known at each mark is the last one before it."""
        while self.grid_ns <= min(until_ns, self.end_ns):
            known = self.mid if self.mid is not None else self.grid_mid
            if known is not None and self.grid_mid is not None and known > 0.0 and self.grid_mid > 0.0:
                step = math.log(known / self.grid_mid)
                self.squares += step * step
            self.grid_mid = known
            self.grid_ns += NS_PER_SECOND

    def close(self) -> WindowSummary:
        """The summary of the window, complete."""
        self._close_grid(self.end_ns)
        for held in (self.imbalance, self.depth, self.spread_bps):
            held.advance(self.end_ns)
        obi_l1, obi_l5, ofi_l1_1s = self.last
        return WindowSummary(
            start_ns=self.start_ns,
            end_ns=self.end_ns,
            events=self.events,
            usable_events=self.usable_events,
            whole=self.whole,
            mid=self.mid,
            return_bps=_return_bps(self.mid_before, self.mid),
            imbalance=self.imbalance.mean,
            order_flow=self.order_flow,
            depth=self.depth.mean,
            spread_bps=self.spread_bps.mean,
            obi_l1_last=obi_l1,
            obi_l5_last=obi_l5,
            ofi_l1_1s_last=ofi_l1_1s,
            trade_flow=None if self.traded is None else self.traded.bought - self.traded.sold,
            trade_volume=None if self.traded is None else self.traded.bought + self.traded.sold,
            realised_variance=self.squares if self.whole and self.grid_mid is not None else None,
        )


def is_possible(event: FactorEvent) -> bool:
    """Whether a book can have the factors that windows use. One beyond all measure would never leave the memory."""
    values = event.values
    sizes = (abs(values[index] or 0.0) for index in _USED)
    is_share = all(abs(values[index] or 0.0) <= 1.0 for index in _SHARES)
    is_amount = all((values[index] or 0.0) >= 0.0 for index in _TRADED)
    return is_share and is_amount and all(size == 0.0 or _LEAST <= size <= _LARGEST for size in sizes)


def _traded(event: FactorEvent) -> TradedVolumes | None:
    """What was traded up to an event: a window is as long as the factors' five seconds."""
    bought, sold = event.values[_BOUGHT], event.values[_SOLD]
    return None if bought is None or sold is None or not event.values[_TRADES] else TradedVolumes(bought, sold)


def _sum_of(bid: float | None, ask: float | None) -> float | None:
    return None if bid is None or ask is None else bid + ask


def _return_bps(before: float | None, after: float | None) -> float | None:
    if before is None or after is None or before <= 0.0 or after <= 0.0:
        return None
    return 1e4 * math.log(after / before)
