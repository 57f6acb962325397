"""One instrument's book, and what is remembered of its levels: wide spreads, and large orders that come and go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import msgspec

from orderbook.book import BookSide, levels_of
from orderbook.validity import Outcome, TrackedBook
from processors.anomalies.near import Band, OpenTop, open_top
from processors.anomalies.orders import GoneOrder, LargeOrder, gone_order
from processors.anomalies.spread import SpreadMemory, SpreadStep, take_spread
from processors.anomalies.thresholds import LevelThresholds
from processors.derived.followed import BEGAN_ANEW_NS, read_state
from processors.factors.packing import Packer, Unpacker
from processors.factors.reference.state import load_tracked, save_tracked
from schemas.errors import DecodeError, InvalidNumber
from schemas.messages import AnomalyReason, L2Record, LevelSide
from schemas.units import NS_PER_SECOND

UNCHANGED: Final = frozenset({Outcome.IGNORED_OLD_EPOCH, Outcome.IGNORED_NOT_LIVE, Outcome.ROUTINE})
OPENED, SCORED, UNSCORED = "orders_watched", "orders_scored", "orders_unscored"

LevelStep = SpreadStep | GoneOrder


class LevelMemory(msgspec.Struct):
    """What is remembered beside the book. Serialisable as it stands.

    Attributes:
        live_since_ns: When the book became LIVE.
        newest_ns: Received time of the newest record.
        has_trades: Whether records carry trades: one did.
        orders: Large orders that are watched, oldest first.
        spread: What the spread was.
    """

    live_since_ns: int = 0
    newest_ns: int = 0
    has_trades: bool = False
    orders: list[LargeOrder] = []
    spread: SpreadMemory = msgspec.field(default_factory=SpreadMemory)


@dataclass(slots=True)
class LevelState:
    """One instrument: its book, and what is remembered beside it."""

    tracked: TrackedBook = field(default_factory=TrackedBook)
    memory: LevelMemory = field(default_factory=LevelMemory)

    def to_bytes(self) -> bytes:
        """The state as a checkpoint."""
        out = Packer()
        save_tracked(out, self.tracked)
        out.raw(msgspec.msgpack.encode(self.memory))
        return out.bytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> LevelState:
        """The state a checkpoint holds. Raises DecodeError: cut or impossible."""
        fields = Unpacker(data)
        try:
            state = cls(load_tracked(fields), read_state(fields.raw(), LevelMemory))
        except (ValueError, InvalidNumber) as error:
            raise DecodeError(f"a checkpoint holds an impossible value ({error})") from error
        fields.end()
        return state


def take_record(
    state: LevelState, record: L2Record, offset: int, settings: LevelThresholds, found: Counter[str]
) -> Iterator[LevelStep]:
    """Take a record to the book, and yield each episode that it begins or ends.

    Args:
        state: The instrument's; changed in place.
        record: The next one.
        offset: Its own.
        settings: Thresholds.
        found: Counts large orders, by what became of them.
    """
    grown = _grown(state, record, settings) if state.tracked.judge(record) is Outcome.APPLIED else []
    was_live, outcome = state.tracked.is_live, state.tracked.apply(record)
    if outcome in UNCHANGED:
        return
    if not (was_live and state.tracked.is_live) or record.received_ns < state.memory.newest_ns - BEGAN_ANEW_NS:
        yield from _begin_anew(state, record, found)
    memory = state.memory
    memory.newest_ns = max(memory.newest_ns, record.received_ns)
    if not state.tracked.is_live:
        return
    top = open_top(state.tracked.book)
    step = take_spread(memory.spread, top.spread_ticks if top else None, memory.newest_ns, offset, settings)
    if step is not None:
        yield step
    if outcome is not Outcome.APPLIED:  # a snapshot in place of a LIVE book: what lay between is not known
        _give_up(memory, found)
        return
    yield from _gone(state, record, top, settings, found)
    _watch(memory, grown, offset, top, found)


def _begin_anew(state: LevelState, record: L2Record, found: Counter[str]) -> Iterator[SpreadStep]:
    """Forget everything: the book broke, is whole again, or its records began anew."""
    episode = state.memory.spread.episode
    _give_up(state.memory, found)
    state.memory = LevelMemory(live_since_ns=record.received_ns)
    if episode is not None:
        yield SpreadStep(AnomalyReason.BROKEN, episode)


def _give_up(memory: LevelMemory, found: Counter[str]) -> None:
    if memory.orders:
        found[UNSCORED] += len(memory.orders)
    memory.orders = []


def _grown(state: LevelState, record: L2Record, settings: LevelThresholds) -> list[LargeOrder]:
    """The levels that a delta lets grow by much, seen from the book before it."""
    top, book, known = open_top(state.tracked.book), state.tracked.book, state.tracked.known
    is_settled = record.received_ns - state.memory.live_since_ns >= settings.order_live_seconds * NS_PER_SECOND
    if top is None or not is_settled:
        return []
    band = Band.of(top, settings.near_bps)
    bids = _grown_on(book.bids, record.bid_ticks, record.bid_lots, band, known.bid_limit(book), settings)
    asks = _grown_on(book.asks, record.ask_ticks, record.ask_lots, band, known.ask_limit(book), settings)
    watched = {(order.side, order.tick) for order in state.memory.orders}
    return [order for order in (*bids, *asks) if (order.side, order.tick) not in watched]


def _grown_on(
    side: BookSide, ticks: list[int], lots: list[int], band: Band, limit: int | None, settings: LevelThresholds
) -> Iterator[LargeOrder]:
    near = ((tick, size) for tick, size in levels_of(ticks, lots).items() if band.holds(tick))
    grown = [(tick, before, size - before) for tick, size in near if size > (before := side.lots.get(tick, 0))]
    whole = band.lots(side, limit) if grown else None
    if not whole:
        return
    name = LevelSide.BID if side.is_bid else LevelSide.ASK
    for tick, before, added in grown:
        if added >= settings.order_share * whole:
            yield LargeOrder(name, tick, before, added, whole, 0, 0, 0)


def _watch(memory: LevelMemory, grown: list[LargeOrder], offset: int, top: OpenTop | None, found: Counter[str]) -> None:
    """Watch the levels that grew, where the book has a mid to begin from."""
    if top is None:
        return
    for order in grown:
        order.sum_ticks, order.opened_ns, order.opened_offset = top.sum_ticks, memory.newest_ns, offset
        memory.orders.append(order)
        found[OPENED] += 1


def _gone(
    state: LevelState, record: L2Record, top: OpenTop | None, settings: LevelThresholds, found: Counter[str]
) -> Iterator[GoneOrder]:
    """The orders that are gone behind a delta and score enough; its trades come before its levels."""
    memory, watched = state.memory, []
    memory.has_trades |= bool(record.trade_ticks)
    for order in memory.orders:
        order.take_trades(record.trade_ticks, record.trade_lots)
        left, since_ns = _size_of(state, order), memory.newest_ns - order.opened_ns
        if since_ns > settings.order_watched_seconds * NS_PER_SECOND:
            found[UNSCORED] += 1
        elif not order.is_gone(left, settings):
            watched.append(order)
        elif top is None or not memory.has_trades:
            found[UNSCORED] += 1
        else:
            found[SCORED] += 1
            gone = gone_order(order, left, memory.newest_ns, top, settings)
            if gone.score >= settings.order_score:
                yield gone
    memory.orders = watched


def _size_of(state: LevelState, order: LargeOrder) -> int:
    book = state.tracked.book
    return (book.bids if order.side is LevelSide.BID else book.asks).lots.get(order.tick, 0)
