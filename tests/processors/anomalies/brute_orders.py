"""Large orders that come and go, from the definition's words alone: every record is looked at from the beginning.

Slow, and shares no code with what it is held against: plain dictionaries, integers, one pass an order.
"""

from __future__ import annotations

from math import log
from typing import NamedTuple

from schemas.messages import Kind, L2Record

Books = list[tuple[dict[int, int], dict[int, int]]]


class FoundOrder(NamedTuple):
    """An order: which level, from which record to which, and its score; None where it was not scored."""

    is_bid: bool
    tick: int
    opened: int
    closed: int | None
    score: float | None


def books_of(records: list[L2Record]) -> Books:
    """The book behind each record; the first is a snapshot, all others deltas."""
    books: Books = []
    for record in records:
        bids, asks = (dict(side) for side in books[-1]) if record.kind is Kind.DELTA else ({}, {})
        for side, ticks, lots in ((bids, record.bid_ticks, record.bid_lots), (asks, record.ask_ticks, record.ask_lots)):
            for tick, size in zip(ticks, lots, strict=True):
                side[tick] = size
        books.append(({t: s for t, s in bids.items() if s}, {t: s for t, s in asks.items() if s}))
    return books


def middle(book: tuple[dict[int, int], dict[int, int]]) -> int | None:
    """Twice the mid in ticks; none where a side is empty or the best prices meet."""
    bids, asks = book
    return max(bids) + min(asks) if bids and asks and max(bids) < min(asks) else None


def is_near(tick: int, twice_mid: int) -> bool:
    """Whether a price lies within ten basis points of mid: |p - mid| <= mid/1000."""
    return 1_000 * abs(2 * tick - twice_mid) <= twice_mid


def found_orders(records: list[L2Record]) -> list[FoundOrder]:
    """Every order that is watched, by the record at which it was."""
    books, found = books_of(records), list[FoundOrder]()
    for at in range(1, len(records)):
        for is_bid in (True, False):
            side = 0 if is_bid else 1
            for tick, size in sorted(books[at][side].items()):
                if (
                    size > books[at - 1][side].get(tick, 0)
                    and _opens(records, books, at, side, tick)
                    and not _is_open(found, is_bid, tick, at)
                ):
                    found.append(_followed(records, books, at, side, tick))
    return found


def _is_open(found: list[FoundOrder], is_bid: bool, tick: int, at: int) -> bool:
    return any(
        (one.is_bid, one.tick) == (is_bid, tick) and one.opened < at and (one.closed is None or one.closed > at)
        for one in found
    )


def _opens(records: list[L2Record], books: Books, at: int, side: int, tick: int) -> bool:
    before, mid = books[at - 1][side], middle(books[at - 1])
    if mid is None or middle(books[at]) is None or records[at].received_ns - records[0].received_ns < 5 * 10**9:
        return False
    whole = sum(size for one, size in before.items() if is_near(one, mid))
    added = books[at][side].get(tick, 0) - before.get(tick, 0)
    return whole > 0 and added * 5 >= whole and is_near(tick, mid)


def _followed(records: list[L2Record], books: Books, opened: int, side: int, tick: int) -> FoundOrder:
    base, size = books[opened - 1][side].get(tick, 0), books[opened][side][tick]
    for at in range(opened + 1, len(records)):
        life_s = (records[at].received_ns - records[opened].received_ns) / 1e9
        if life_s > 30:
            return FoundOrder(side == 0, tick, opened, at, None)
        if (books[at][side].get(tick, 0) - base) * 5 <= size - base:
            score = _score(records, books, opened, at, side, tick) if middle(books[at]) else None
            return FoundOrder(side == 0, tick, opened, at, score)
    return FoundOrder(side == 0, tick, opened, None, None)


def _score(records: list[L2Record], books: Books, opened: int, closed: int, side: int, tick: int) -> float:
    meanwhile = records[opened + 1 : closed + 1]
    trades = [pair for one in meanwhile for pair in zip(one.trade_ticks, one.trade_lots, strict=True)]
    buys = sum(lots for _, lots in trades if lots > 0)
    sells = sum(-lots for _, lots in trades if lots < 0)
    with_, against = (buys, sells) if side == 0 else (sells, buys)
    hits = sum(abs(lots) for at, lots in trades if at == tick and (lots < 0) == (side == 0))
    before, size, left = books[opened - 1], books[opened][side][tick], books[closed][side].get(tick, 0)
    added, mid = size - before[side].get(tick, 0), middle(before)
    start, end = middle(books[opened]), middle(books[closed])
    assert None not in (mid, start, end), "no order begins or is scored without a mid"
    whole = sum(lots for one, lots in before[side].items() if is_near(one, mid))
    if (records[closed].received_ns - records[opened].received_ns) / 1e9 < 0.5 or not with_ + against:
        return 0.0
    move = (1 if side == 0 else -1) * 1e4 * log(end / start)
    cancelled = max(0.0, 1 - hits / (size - left))
    flow = clip(2 * with_ / (with_ + against) - 1) * clip(with_ / added / 0.02)
    return float((clip(added / whole / 0.4) * clip((cancelled - 0.8) / 0.2) * clip(move) * flow) ** 0.25)


def clip(value: float) -> float:
    """To [0, 1]."""
    return min(1.0, max(0.0, value))
