"""What the stage `levels` publishes can be looked up, and no two of its records are the same one."""

from __future__ import annotations

import msgspec
import pytest

from schemas.messages import AnomalyAction, AnomalyEvent, AnomalyKind, AnomalyReason, ContractKind, L2Record, LevelSide
from tests.processors.anomalies.books import traded
from tests.processors.anomalies.planted import Missing, PlantedMarket
from tests.processors.anomalies.test_orders import CENTRE, book, came_and_went, moved
from tests.processors.anomalies.test_spread import records as widening
from tests.processors.derived.recorded import emitted, run_stage
from tests.processors.feed import Feed


def published(records: list[L2Record]) -> list[AnomalyEvent]:
    return emitted(run_stage("levels", records))


def test_a_pattern_is_one_record_with_the_order_and_what_happened_meanwhile() -> None:
    [event] = published(came_and_went(LevelSide.ASK, lots=40, with_=20, against=1, hit=2))
    assert (event.kind, event.action, event.reason) == (
        AnomalyKind.SPOOFING_LIKE,
        AnomalyAction.CLOSE,
        AnomalyReason.ENDED,
    )
    assert (event.side, event.price, event.base_size, event.added_size) == (LevelSide.ASK, CENTRE + 9, 10.0, 40.0)
    assert (event.removed_size, event.traded_size, event.flow_with, event.flow_against) == (40.0, 2.0, 20.0, 3.0)
    assert (event.side_share, event.life_s, event.lasted_ms) == (0.4, 2.0, 2_000.0)
    assert (event.opened_offset, event.first_offset, event.source_offset) == (1, 1, 3)
    assert (event.mid, event.decided_ns) == (CENTRE - 8.5, event.received_ns)
    assert 0.5 <= (event.score or 0.0) <= 1.0


def test_sizes_are_in_base_units_on_inverse_contracts_too() -> None:
    grid = {"contract_kind": ContractKind.INVERSE, "contract_value": "100", "tick_size": "0.1"}
    records = [msgspec.structs.replace(record, **grid) for record in came_and_went(LevelSide.BID)]
    [event] = published(records)
    price = (CENTRE - 9) / 10
    assert event.price == price
    assert event.added_size == pytest.approx(50 * 100 / price)
    assert event.flow_with == pytest.approx(20 * 100 / price)


def test_two_orders_that_are_gone_at_once_are_two_records() -> None:
    feed = Feed()
    whole, near = book(feed), (CENTRE - 9, CENTRE - 8)
    came = traded(feed.delta([(tick, 60) for tick in near], (), 6_000), (CENTRE, 1))
    away = moved(feed, True, 7_000)
    went = traded(feed.delta([(tick, 10) for tick in near], (), 8_000), (CENTRE, 20))
    events = published([whole, came, away, went])
    assert [(event.step, event.stream, event.price) for event in events] == [
        (0, "spoofing_like", CENTRE - 9),
        (1, "spoofing_like.1", CENTRE - 8),
    ]


@pytest.mark.parametrize("breaks", [True, False])
def test_a_wide_spread_is_told_in_ticks_with_what_it_was_before(breaks: bool) -> None:
    began, ended = published(widening(breaks=breaks))
    assert (began.kind, began.action, began.x, began.opened_offset) == (
        AnomalyKind.WIDE_SPREAD,
        AnomalyAction.OPEN,
        10.0,
        None,
    )
    assert began.baseline == pytest.approx(1.0, abs=0.1)
    assert began.spread_bps == pytest.approx(1e4 * 10 / 1_005)
    assert (ended.action, ended.opened_offset, ended.lasted_ms) == (AnomalyAction.CLOSE, began.source_offset, 500.0)
    assert ended.reason is (AnomalyReason.BROKEN if breaks else AnomalyReason.ENDED)
    assert (ended.x is None, ended.mid is None) == (breaks, breaks)


def test_no_two_records_of_a_long_log_are_the_same_one() -> None:
    """Their identity in the table: kind and number, and the record behind them, which rises in each stream."""
    market = PlantedMarket(3, 600, 8, Missing.NOTHING)
    events = published(list(market.records()))
    streams: dict[str, list[int]] = {}
    for event in events:
        streams.setdefault(event.stream, []).append(event.source_offset)
    assert len(events) >= 8
    assert all(offsets == sorted(set(offsets)) for offsets in streams.values())
    assert {event.kind for event in events} <= {AnomalyKind.WIDE_SPREAD, AnomalyKind.SPOOFING_LIKE}
