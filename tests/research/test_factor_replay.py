"""Factor events of a recording in memory."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import research.replay
from processors.factors import ENGINES, engine_named
from processors.factors.reference.engine import ReferenceEngine
from research.replay import FactorReplay, summarise
from schemas.digest import EventDigest
from schemas.messages import InstrumentKey, L2Record, Status
from tests.processors.engines import COUNTED, CountingEngine
from tests.processors.feed import ENGINE
from tests.research.fixtures import SYMBOL, VENUES, replay, script, symbol_of

EACH = pytest.mark.parametrize("venue", VENUES)


@EACH
def test_every_update_snapshot_and_invalid_of_the_script_is_one_event(venue: str) -> None:
    every, key = list(FactorReplay(replay(venue), ENGINE)), InstrumentKey(venue, symbol_of(venue))
    events, expected = [item for item in every if item.instrument == key], script(venue)["l2"]

    assert [item.event.sequence for item in events] == [sequence for _, sequence, _, _ in expected]
    assert [item.event.status is Status.RESYNCING for item in events] == [kind == "invalid" for kind, *_ in expected]
    assert sorted(item.event.source_offset for item in every) == list(range(len(every)))


@settings(max_examples=10)
@given(batch=st.integers(1, 40))
def test_any_batch_size_gives_the_digest_of_single_records(batch: int) -> None:
    state, digest = ENGINE.fresh(), EventDigest()
    records = [record for record in replay("binance-futures").records() if isinstance(record, L2Record)]
    for offset, record in enumerate(records):
        for event in ENGINE.step(state, [offset], [record]).events():
            digest.update(event)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(research.replay, "BATCH", batch)
        found = summarise(FactorReplay(replay("binance-futures"), ENGINE))[SYMBOL]

    assert (found.events, found.digest) == (digest.events, digest.hexdigest())


def test_thin_is_a_setting() -> None:
    assert "THIN" in summarise(FactorReplay(replay("binance"), ReferenceEngine(10.0**12)))[SYMBOL].statuses
    assert "THIN" not in summarise(FactorReplay(replay("binance"), ReferenceEngine(10.0**-9)))[SYMBOL].statuses


def test_another_symbol_has_no_events() -> None:
    assert summarise(FactorReplay(replay("binance"), ENGINE, symbol="NOPE")) == {}
    assert list(summarise(FactorReplay(replay("binance"), ENGINE, symbol=SYMBOL))) == [SYMBOL]


def test_another_engine_computes_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENGINES, CountingEngine.name, CountingEngine)
    engine = engine_named("counting")(1.0)
    records = [record for record in replay("binance").records() if isinstance(record, L2Record)]
    counted = [item.event.values[COUNTED] for item in FactorReplay(replay("binance"), engine)]

    assert counted == [float(number) for number in range(1, len(records) + 1)]
