"""Each trade is taken once, whatever a venue sends again, and none that is new is left out."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.books.handover import AFTER_NS
from producers.books.router import FrameRouter
from producers.books.seen_trades import REMEMBERED, REMEMBERED_OF_TWO, SeenTrades
from producers.books.stream import InstrumentStream
from producers.exchanges import EXCHANGES
from producers.messages import Frame, TradeTick, Via
from schemas.messages import DeadLetter, L2Record, TradeRecord
from tests.producers.messages import BTC, SECOND, delta, live_stream, snapshot, trade

DEPTH = 40
"""Trades that a venue sends again at most, in these tests."""
NEW = 50
"""New ones among those: what is remembered are the newest of all."""
WAYS = {
    "rising": lambda number: str(3_700_000_000 + number),
    "uuid": lambda number: str(UUID(int=Random(number).getrandbits(128))),  # Bybit's contracts
    "of a currency": lambda number: f"ETH-{number}",  # Deribit
}
EACH_WAY = pytest.mark.parametrize("way", WAYS)


def published(records: Sequence[object]) -> list[str]:
    return [record.trade_id for record in records if isinstance(record, TradeRecord)]


@st.composite
def sent(draw: st.DrawFn) -> list[int]:
    """Numbers of trades as a venue sends them: each once at least, in about its order, some again and again."""
    random = Random(draw(st.integers(0, 2**32)))
    order: list[int] = []
    for number in range(draw(st.integers(1, 300))):
        order.append(number)
        what = random.random()
        if what < 0.1:  # once more
            order.append(random.choice(order[-DEPTH:]))
        elif what < 0.15:  # the last ones once more, as after a reconnect
            order.extend(order[-random.randrange(1, DEPTH) :])
        elif what < 0.3:  # a later one came before an earlier one
            order.insert(max(0, len(order) - random.randrange(1, DEPTH)), order.pop())
    return order


@EACH_WAY
@given(order=sent())
def test_each_trade_is_published_once_in_the_order_in_which_it_first_came(way: str, order: list[int]) -> None:
    stream, ids = live_stream(), [WAYS[way](number) for number in order]
    records = [
        record
        for place, number in enumerate(ids)
        for record in stream.on_trade(TradeTick("BTCUSDT", number, "100.0", "0.5", True), (3 + place) * SECOND)
    ]

    assert published(records) == list(dict.fromkeys(ids))
    assert stream.counters.trades == len(set(ids))
    assert stream.counters.duplicates == len(ids) - len(set(ids))


@given(
    known=st.integers(0, 3 * REMEMBERED),
    again=st.integers(0, REMEMBERED - NEW),
    new=st.integers(0, NEW),
    order=st.randoms(use_true_random=False),
)
def test_what_is_sent_again_in_any_order_is_known_and_what_is_new_among_it_is_not(
    known: int, again: int, new: int, order: Random
) -> None:
    seen = SeenTrades()
    seen.note(str(number) for number in range(1, known + 1))
    old = range(max(1, known + 1 - again), known + 1)
    after = [*old, *range(known + 1, known + 1 + new)]
    order.shuffle(after)

    assert [number for number in after if not seen.is_copy(str(number))] == [n for n in after if n > known]


@pytest.mark.parametrize("no_id", ["", "0"])
def test_trades_without_an_id_are_no_copies_of_each_other(no_id: str) -> None:
    stream = live_stream()
    stream.feed.on_overlap(3 * SECOND)
    ticks = [TradeTick("BTCUSDT", no_id, "100.0", "0.5", True) for _ in range(3)]
    records = [record for tick in ticks for record in stream.on_trade(tick, 3 * SECOND)]

    assert published(records) == [no_id] * 3
    assert stream.counters.duplicates == 0


def test_memory_is_bounded_however_many_trades_come() -> None:
    seen = SeenTrades()
    for number in range(20 * REMEMBERED):
        assert not seen.is_copy(str(number + 1))
        assert held(seen) <= 2 * REMEMBERED
    assert held(seen) >= REMEMBERED


def test_over_two_connections_more_is_remembered_and_given_up_afterwards() -> None:
    stream = live_stream()
    stream.feed.on_overlap(3 * SECOND)
    for number in range(5 * REMEMBERED):
        stream.on_trade(trade(number=number + 1), 3 * SECOND)
    assert stream.on_trade(trade(number=1), 4 * SECOND) == []
    assert held(stream.seen_trades) == 5 * REMEMBERED < REMEMBERED_OF_TWO

    stream.feed.on_overlap_end(5 * SECOND)
    late = 6 * SECOND + AFTER_NS
    for number in range(3 * REMEMBERED):
        stream.on_trade(trade(number=10**6 + number), late)
    assert held(stream.seen_trades) <= 2 * REMEMBERED


def test_a_copy_goes_with_no_update_and_is_known_after_a_lost_connection() -> None:
    stream = live_stream()
    stream.on_trade(trade("100.0", "0.5", number=7), 3 * SECOND)
    assert stream.on_trade(trade("100.0", "0.5", number=7), 3 * SECOND) == []
    assert carried(stream.on_delta(delta(111, 120, 110), 4 * SECOND)) == [1000]

    stream.feed.on_disconnect(5 * SECOND)
    stream.feed.on_connect(6 * SECOND)
    go_live_again(stream)
    assert stream.on_trade(trade("100.0", "0.5", number=7), 9 * SECOND) == []
    assert published(stream.on_trade(trade("100.1", "0.5", number=8), 9 * SECOND)) == ["8"]
    assert carried(stream.on_delta(delta(211, 220, 210), 10 * SECOND)) == [1001]


def test_a_trade_that_could_not_be_used_is_none_that_came() -> None:
    stream = live_stream()
    with pytest.raises(Exception, match="1e5"):
        stream.on_trade(trade("1e5", number=7), 3 * SECOND)
    assert published(stream.on_trade(trade("100.0", number=7), 3 * SECOND)) == ["7"]


def go_live_again(stream: InstrumentStream) -> None:
    stream.on_delta(delta(195, 210, 194), 7 * SECOND)
    stream.on_snapshot(snapshot(200), 8 * SECOND)
    assert stream.is_live


def carried(records: Sequence[object]) -> list[int]:
    return [tick for record in records if isinstance(record, L2Record) for tick in record.trade_ticks]


def held(seen: SeenTrades) -> int:
    return len(seen._newer) + len(seen._older)


def test_what_is_known_is_read_from_a_frame_and_damage_changes_nothing() -> None:
    router = FrameRouter(EXCHANGES["binance-futures"], {BTC.symbol: BTC})
    stream = router.streams[BTC.symbol]
    for raw in (b'{"symbol":"ETHUSDT","trades":["7"]}', b'{"symbol":"BTCUSDT","trades":["8","9"]}'):
        assert router.handle(Frame(1, Via.KNOWN, raw=raw)).records == []
    for raw in (b"", b"[]", b'{"symbol":"BTCUSDT","trades":[7]}', b"\xff"):
        (letter,) = router.handle(Frame(1, Via.KNOWN, raw=raw)).records
        assert isinstance(letter, DeadLetter)

    ticks = [trade(number=number) for number in (7, 8, 9)]
    assert published([record for tick in ticks for record in stream.on_trade(tick, 3 * SECOND)]) == ["7"]
