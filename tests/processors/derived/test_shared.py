"""What derived stages share: averages by time, canonical symbols, fees, and where a log was left."""

from __future__ import annotations

from collections import Counter

import pytest

from processors.derived.averages import HeldAverage, HeldTrail
from processors.derived.canonical import canonical_symbol, named_symbols
from processors.derived.fees import FeeTable, date_ns
from processors.derived.followed import FollowedLog, new_events
from processors.derived.recent import RecentValues
from schemas.errors import UsageError
from schemas.messages import ContractKind, FactorRecord, Source
from schemas.units import NS_PER_SECOND
from tests.processors.signals.made import factor_event

S = NS_PER_SECOND


def test_an_average_weighs_time_and_never_holds_the_value_judged() -> None:
    average = HeldAverage()
    for at_s, value in ((0, 1.0), (10, 3.0), (10, 5.0), (11, None), (100, 7.0)):
        average.advance(at_s * S, 10 * S)
        average.hold(value)
    assert average.observed_ns == 11 * S, "1 held for ten seconds, 5 for one, 3 for none, and then nothing did"
    weight = 1 - 0.5**0.1
    assert average.mean == pytest.approx(1 + weight * 4)
    assert average.variance == pytest.approx((1 - weight) * weight * 16)
    assert average.z(7.0, 100.0) == pytest.approx((7 - average.mean) / 100)


def test_a_trail_tells_the_mean_of_any_part_of_its_span() -> None:
    trail = HeldTrail()
    for at_s, value in ((0, 1.0), (4, 2.0), (6, None), (8, 4.0), (10, 0.0)):
        trail.advance(at_s * S, 15 * S)
        trail.hold(value)
    assert trail.mean(0, 10 * S) == pytest.approx((4 * 1 + 2 * 2 + 2 * 4) / 8)
    assert trail.mean(5 * S, 7 * S) == pytest.approx(2.0)
    assert trail.mean(6 * S, 8 * S) is None
    assert (trail.covers(0), trail.covers(-1)) == (True, False)
    for at_s in range(11, 400):
        trail.advance(at_s * S, 15 * S)
        trail.hold(float(at_s))
    assert trail.mean(389 * S, 399 * S) == pytest.approx(393.5)
    assert len(trail.at_ns) <= 17
    assert trail.held_ns[0] <= 61 * S, "sums are taken from an origin that is never old"


def test_the_values_of_the_last_second_are_known_and_a_burst_has_a_bound() -> None:
    recent = RecentValues()
    recent.add(0, 1.0)
    recent.add(S // 2, 2.0)
    assert (recent.before(0), recent.before(S // 2 - 1), recent.before(S), recent.before(-1)) == (1.0, 1.0, 2.0, None)
    for at in range(10_000):
        recent.add(S + at, float(at))
    assert len(recent.values) < 10


@pytest.mark.parametrize(
    ("symbol", "kind", "canonical"),
    [
        ("BTCUSDT", "spot", "BTC-USDT-spot"),
        ("BTCUSDT", "linear", "BTC-USDT-linear"),
        ("1000PEPEUSDT", "linear", "1000PEPE-USDT-linear"),
        ("BTCUSDT_240927", "linear", "BTC-USDT-linear-240927"),
        ("BTCUSD_PERP", "inverse", "BTC-USD-inverse"),
        ("BTC-USDT-SWAP", "linear", "BTC-USDT-linear"),
        ("BTC-USDT", "spot", "BTC-USDT-spot"),
        ("BTC-PERPETUAL", "inverse", "BTC-USD-inverse"),
        ("BTC_USDC-PERPETUAL", "linear", "BTC-USDC-linear"),
        ("BTC-27SEP24", "inverse", "BTC-USD-inverse-27SEP24"),
        ("BTC-27SEP24-60000-C", "option", None),
        ("S0", "spot", None),
        ("USDT", "spot", None),
        ("ODD", "spot", "O-DD-spot"),
    ],
)
def test_a_name_says_what_two_venues_share_or_nothing(symbol: str, kind: str, canonical: str | None) -> None:
    named = named_symbols("v ODD o dd")
    assert canonical_symbol("v", symbol, ContractKind(kind), named) == canonical


def test_fees_are_those_of_the_day_the_tier_and_the_kind() -> None:
    fees = FeeTable(
        "v spot t 2024-02-29 1 2; v spot t 2025-01-01 1 3; v spot u 2020-01-01 1 9; v linear t 2025-06-01 0 4", "t"
    )
    at = [date_ns(day) for day in ("2024-02-28", "2024-02-29", "2025-05-31", "2025-06-01")]
    rows = [fees.in_force("v", moment, ContractKind.SPOT) for moment in at]
    assert [row and row.taker_bps for row in rows] == [None, 2.0, 3.0, 3.0]
    kinds = [fees.in_force("v", moment) for moment in at]
    assert [row and row.taker_bps for row in kinds] == [None, 2.0, 3.0, None], "two kinds, and it is not said which"
    for text in ("v spot t 2024-02-30 1 2", "v spot t 2024-01-01 1 nan", "v nothing t 2024-01-01 1 2", "v spot"):
        with pytest.raises(UsageError, match=r"fees\.table"):
            FeeTable(text, "t")


def test_events_are_taken_once_in_order_and_another_log_begins_anew() -> None:
    followed, passed = FollowedLog(), Counter[str]()

    def take(log: str, *events: tuple[int, float]) -> list[tuple[int, bool]]:
        made = [factor_event(offset, at_s) for offset, at_s in events]
        record = FactorRecord("v", "S", Source.LIVE, "a2", log, 0, made)
        return [(new.event.source_offset, new.is_afresh) for new in new_events(followed, record, passed)]

    assert take("first", (0, 100.0), (1, 101.0)) == [(0, True), (1, False)]
    assert take("first", (1, 101.0), (2, 100.5), (3, 102.0)) == [(3, False)]
    assert take("first", (4, 10.0), (5, 11.0)) == [(4, True), (5, False)]
    assert take("second", (0, 5.0)) == [(0, True)]
    assert take("first", (6, 200.0)) == []
    assert passed == {"already_processed": 1, "late": 1, "began_anew": 1, "left_source_log": 1}
