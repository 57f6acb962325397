"""What the factors remember of trades, all together, and its part of a checkpoint."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from processors.factors.bars import Bars
from processors.factors.buckets import BUCKETS, MOST_UNITS, VolumeBuckets
from processors.factors.packing import Packer, Unpacker
from processors.factors.tape import TAPE_MAX, WINDOWS_S, Traded, TradeWindow
from schemas.errors import DecodeError
from schemas.units import NS_PER_MS, NS_PER_SECOND

T = TypeVar("T")

SECOND_BARS: Final = 60
QUARTERS_NS: Final = 250 * NS_PER_MS
QUARTER_BARS: Final = 20


class TradeMemory:
    """Trades of one instrument.

    Attributes:
        windows: Over `WINDOWS_S` seconds.
        seconds, quarters: Bars of a second, 60 of them, and of a quarter, 20.
        buckets: Of equal volume.
    """

    __slots__ = ("buckets", "quarters", "seconds", "windows")

    def __init__(self) -> None:
        self.windows = tuple(map(TradeWindow, WINDOWS_S))
        self.seconds, self.quarters = Bars(NS_PER_SECOND, SECOND_BARS), Bars(QUARTERS_NS, QUARTER_BARS)
        self.buckets = VolumeBuckets()

    @property
    def bars(self) -> tuple[Bars, Bars]:
        """Both."""
        return self.seconds, self.quarters

    def begin(self, received_ns: int, mid: int, bucket_size: int) -> None:
        """Forget everything: the book became LIVE now, with this twice the mid in ticks, 0 where it is not open."""
        for window in self.windows:
            window.restart(received_ns)
        for bars in self.bars:
            bars.begin(received_ns, mid)
        self.buckets.begin(bucket_size)

    def add(self, traded: Traded, mid: int, units: Iterable[int]) -> None:
        """Take a record: what its trades come to, twice the mid after it, the signed notional of each, exact."""
        notionals = list(units)
        for window in self.windows:
            window.add(traded)
        for bars in self.bars:
            bars.add(traded.received_ns, mid, sum(notionals))
        for notional in notionals:
            self.buckets.add(notional)


def save_trades(out: Packer, memory: TradeMemory) -> None:
    """Write it down. The longest window holds what the others hold."""
    for window in memory.windows:
        out.integer(window.whole_since_ns)
        out.integer(len(window.records))
    for traded in memory.windows[-1].records:
        for number in traded[:4]:
            out.integer(number)
        out.optional_double(traded.paid)
    for bars in memory.bars:
        _save_bars(out, bars)
    buckets = memory.buckets
    for number in (buckets.size, buckets.bought, buckets.sold, len(buckets.gaps), *buckets.gaps):
        out.integer(number)


def load_trades(fields: Unpacker) -> TradeMemory:
    """Read what `save_trades` wrote. Raises DecodeError: it is cut or impossible."""
    memory = TradeMemory()
    heads = [(fields.integer(), fields.integer()) for _ in memory.windows]
    counts = [count for _, count in heads]
    if sorted(counts) != counts or not 0 <= counts[0] <= counts[-1] <= TAPE_MAX:
        raise DecodeError("a checkpoint holds impossible trades")
    tape = [_load_traded(fields) for _ in range(counts[-1])]
    for window, (since_ns, count) in zip(memory.windows, heads, strict=True):
        window.hold(since_ns, tape[len(tape) - count :])
    for bars in memory.bars:
        _load_bars(fields, bars)
    _load_buckets(fields, memory.buckets)
    return memory


def _load_traded(fields: Unpacker) -> Traded:
    received_ns, bought, sold, trades = (fields.integer() for _ in range(4))
    traded = Traded(received_ns, bought, sold, trades, fields.optional_double())
    if min(traded.bought, traded.sold) < 0 or traded.trades < 1:
        raise DecodeError("a checkpoint holds an impossible trade")
    return traded


def _save_bars(out: Packer, bars: Bars) -> None:
    out.integer(bars.open_bar)
    out.integer(bars.mid)
    out.optional_integer(bars.last_mid)
    out.integer(bars.traded)
    out.integer(len(bars.returns))
    for change in bars.returns:
        out.optional_double(change)
    for flow in bars.flows:
        out.integer(flow)


def _load_bars(fields: Unpacker, bars: Bars) -> None:
    bars.open_bar, bars.mid = fields.integer(), fields.integer()
    bars.last_mid, bars.traded = fields.optional_integer(), fields.integer()
    count = _count(fields, bars.keep)
    _extend(bars.returns, fields.optional_double, count)
    _extend(bars.flows, fields.integer, count)
    if bars.mid < 0 or (bars.last_mid or 0) < 0:
        raise DecodeError("a checkpoint holds an impossible mid")


def _load_buckets(fields: Unpacker, buckets: VolumeBuckets) -> None:
    buckets.size, buckets.bought, buckets.sold = (fields.integer() for _ in range(3))
    _extend(buckets.gaps, fields.integer, _count(fields, BUCKETS))
    is_filled = min(buckets.bought, buckets.sold) < 0 or buckets.bought + buckets.sold >= max(1, buckets.size)
    if is_filled or not 0 <= buckets.size <= MOST_UNITS or any(not 0 <= gap <= buckets.size for gap in buckets.gaps):
        raise DecodeError("a checkpoint holds impossible buckets")


def _count(fields: Unpacker, most: int) -> int:
    count = fields.integer()
    if not 0 <= count <= most:
        raise DecodeError(f"a checkpoint holds {count} of what there are {most} at most")
    return count


def _extend(ring: deque[T], read: Callable[[], T], count: int) -> None:
    ring.extend(read() for _ in range(count))
