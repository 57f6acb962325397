"""A checkpoint is the whole state, or an error: never another book."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.factors.reference.state import InstrumentState
from schemas.errors import DecodeError
from schemas.messages import Status
from tests.processors.feed import Feed, factors, fresh, process
from tests.processors.generated import stream


def state_of(seed: int, count: int = 120) -> InstrumentState:
    state = fresh(123.5)
    process(stream(seed)[:count], state)
    return state


@given(st.integers(0, 2**32), st.integers(0, 120))
def test_a_state_comes_back_as_it_was(seed: int, count: int) -> None:
    state = state_of(seed, max(count, 1))
    again = InstrumentState.from_bytes(state.to_bytes())
    assert again.to_bytes() == state.to_bytes()
    assert again.thin_notional == 123.5
    assert (again.tracked.validity, again.tracked.reason) == (state.tracked.validity, state.tracked.reason)
    assert (again.tracked.epoch, again.tracked.sequence) == (state.tracked.epoch, state.tracked.sequence)
    assert again.broken == state.broken
    if state.tracked.is_live:
        assert again.tracked.book == state.tracked.book
        assert again.tracked.grid is state.tracked.grid
    else:
        assert again.tracked.book.bid_levels == again.tracked.book.ask_levels == 0


def test_an_untouched_state_comes_back_too() -> None:
    again = InstrumentState.from_bytes(fresh().to_bytes())
    assert (again.tracked.grid, again.thin_notional) == (None, 10_000.0)


def test_the_largest_integers_survive() -> None:
    top = 2**63 - 1
    state = fresh()
    process([Feed().snapshot([(top - 1, top), (0, 1)], [(top, top)])], state)
    again = InstrumentState.from_bytes(state.to_bytes())
    assert again.tracked.book == state.tracked.book
    assert again.tracked.book.best_ask == top


def test_a_depth_bound_and_what_it_took_survive() -> None:
    state = fresh(max_levels=2)
    process([Feed().snapshot([(9, 1), (8, 1), (7, 1)], [(10, 1)])], state)
    bids = InstrumentState.from_bytes(state.to_bytes()).tracked.book.bids
    assert (bids.prices, bids.max_levels, bids.evicted, bids.horizon) == ([8, 9], 2, 1, 7)


def test_a_book_of_9600_levels_takes_some_24_kilobytes() -> None:
    draw = random.Random(1)
    bids, asks = ([(0, 0)] * 4_800 for _ in range(2))
    bid, ask = 616_000, 616_001
    for level in range(4_800):
        bids[level], asks[level] = (bid, draw.randint(1, 5_000)), (ask, draw.randint(1, 5_000))
        bid, ask = bid - draw.randint(1, 30), ask + draw.randint(1, 30)
    state = fresh()
    process([Feed().snapshot(bids, asks)], state)
    assert len(state.to_bytes()) < 30_000


def test_every_cut_is_found() -> None:
    good = state_of(3).to_bytes()
    for length in range(len(good)):
        with pytest.raises(DecodeError):
            InstrumentState.from_bytes(good[:length])


def test_bytes_left_over_are_refused() -> None:
    with pytest.raises(DecodeError, match="1 bytes left over"):
        InstrumentState.from_bytes(fresh().to_bytes() + b"\0")


@given(st.integers(0, 40), st.data())
def test_bytes_that_make_no_sense_are_an_error_or_a_state_and_nothing_else(seed: int, data: st.DataObject) -> None:
    body = bytearray(state_of(seed).to_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        state = InstrumentState.from_bytes(bytes(body))
    except DecodeError:
        return
    for side in (state.tracked.book.bids, state.tracked.book.asks):
        assert side.prices == sorted(set(side.prices))
        assert all(side.lots[tick] > 0 for tick in side.prices)


def test_the_threshold_may_be_set_anew_after_a_restart() -> None:
    feed, state = Feed(), fresh()
    process([feed.snapshot([(99, 3)], [(101, 3)])], state)
    again = InstrumentState.from_bytes(state.to_bytes())
    again.thin_notional = 100.0
    result = process([feed.delta()], again, start=1)
    assert result.status == [Status.OK]
    assert factors(result)["confidence"] == 600 / 1_000


def test_sizes_near_int64_survive_a_checkpoint() -> None:
    """What is added near the top is a sum, and may pass int64 though each size fits it."""
    state = fresh()
    state.rolling.times.append(1)
    state.rolling.flows.append(None)
    state.rolling.quotes.append(None)
    state.rolling.levels.append(())
    state.rolling.added.append(3 * (2**63 - 1))
    state.rolling.removed.append(2**64)
    restored = InstrumentState.from_bytes(state.to_bytes())
    assert list(restored.rolling.added) == [3 * (2**63 - 1)]
    assert list(restored.rolling.removed) == [2**64]
