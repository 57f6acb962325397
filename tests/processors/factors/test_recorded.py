"""The two Binance recordings through the core: book, factors and digest."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from orderbook.validity import Outcome
from processors.factors.reference.state import InstrumentState
from schemas.digest import digest
from schemas.messages import L2Record, Status
from tests.processors.compare import VENUES, compare
from tests.processors.feed import fresh, process
from tests.processors.recorded import path_of, read_records
from tests.support.tiers import tiered

pytestmark = pytest.mark.recorded

PREFIX = 30
STRIDE = {"binance-futures": 1_000, "binance": 500}


@pytest.fixture(params=tiered(VENUES, "binance"))
def venue(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def records(recordings: Path, venue: str) -> tuple[L2Record, ...]:
    return read_records(path_of(recordings, venue), venue)


@pytest.fixture
def golden(recordings: Path, venue: str) -> dict[str, Any]:
    name = path_of(recordings, venue).name.replace("frames.jsonl.gz", "golden.json")
    loaded: dict[str, Any] = json.loads((recordings / venue / name).read_text())
    return loaded


def test_the_book_after_the_recording_is_the_golden_one(records: tuple[L2Record, ...], golden: dict[str, Any]) -> None:
    state = fresh()
    result = process(records, state)
    tracked = state.tracked
    assert result.outcomes == {Outcome.MADE_LIVE: 1, Outcome.APPLIED: golden["applied"]}
    assert set(result.status) == {Status.OK}
    assert tracked.sequence == golden["last_u"]
    assert [tracked.book.bid_levels, tracked.book.ask_levels] == golden["final_levels"]
    assert tracked.grid is not None
    for levels, expected in (
        (tracked.book.top_bids(5), golden["final_top5_bids"]),
        (tracked.book.top_asks(5), golden["final_top5_asks"]),
    ):
        texts = [(tracked.grid.price_text(tick), tracked.grid.size_text(lots)) for tick, lots in levels]
        assert [(float(p), float(q)) for p, q in texts] == [(float(p), float(q)) for p, q in expected]


@pytest.mark.slow
def test_every_factor_equals_the_brute_force(records: tuple[L2Record, ...], venue: str) -> None:
    """At each of the first events and every so many of the rest; with OBFLOW_FUZZ=all (`make fuzz`) at every event."""
    stride = 1 if os.environ.get("OBFLOW_FUZZ") == "all" else STRIDE[venue]
    compare(records, is_wanted=lambda row: row < PREFIX or row % stride == 0)


def test_batches_and_restored_checkpoints_change_nothing(records: tuple[L2Record, ...]) -> None:
    some = records[:900]
    whole = digest(process(some).events())
    state, events = fresh(), []
    for start in range(0, len(some), 37):
        state = InstrumentState.from_bytes(state.to_bytes())
        events += process(some[start : start + 37], state, start).events()
    assert digest(events) == whole
