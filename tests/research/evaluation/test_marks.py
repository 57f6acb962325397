"""Minutes from factor events, and targets from minutes, by hand (intelligence.md, section 8, 1)."""

from __future__ import annotations

import math

import pytest

from research.evaluation.marks import marks_of
from research.evaluation.minutes import Minutes
from research.evaluation.rows import Minute
from schemas.factors import FACTOR_INDEX, NO_FACTORS
from schemas.messages import FactorEvent, Status

SECOND_NS = 10**9
T0_S = 1_723_161_240  # a whole minute
BREAK = Status.RESYNCING


def event(second: float, mid: float | None, status: Status = Status.OK) -> FactorEvent:
    values = list(NO_FACTORS)
    values[FACTOR_INDEX["mid"]] = mid
    return FactorEvent(0, 0, round((T0_S + second) * SECOND_NS), status, tuple(values))


def minutes(*events: FactorEvent) -> list[Minute]:
    taken = Minutes("I")
    for each in events:
        taken.take(each)
    return [minute for minute in taken.over() if minute.mark_ns >= T0_S * SECOND_NS]


LATER = event(60.5, 500.0)


def test_a_minute_begins_a_second_after_its_mark_and_ends_with_the_next() -> None:
    [found] = minutes(
        event(-5, 90.0), event(1.0, 100.0), event(1.4, 110.0), event(1.9, 121.0), event(60.0, 100.0), LATER
    )
    assert found.mark_ns == T0_S * SECOND_NS
    assert found.return_bps == 0.0  # from 100 at 1 s to 100 at 60 s
    assert found.realised_variance == pytest.approx(2 * math.log(1.21) ** 2)


def test_a_second_without_an_event_keeps_the_mid_it_had() -> None:
    [found] = minutes(event(-40, 100.0), event(30.2, 101.0), event(50.2, 101.0), LATER)
    assert found.return_bps == pytest.approx(1e4 * math.log(1.01))
    assert found.realised_variance == pytest.approx(math.log(1.01) ** 2)


@pytest.mark.parametrize(
    "events",
    [
        (event(0, 100.0), event(20, None, BREAK), event(21, 100.0)),
        (event(0, 100.0), event(20.1, None, BREAK), event(20.2, 100.0)),
        (event(0.5, 100.0), event(0.6, None, BREAK), event(21, 100.0), event(22, 100.0)),
        (event(20, 100.0), event(40, 100.0)),
    ],
    ids=["a break inside", "mended within the second", "no mid known at its beginning", "the first event lies inside"],
)
def test_a_minute_with_a_hole_is_null(events: tuple[FactorEvent, ...]) -> None:
    assert minutes(*events, LATER) == [Minute("I", T0_S * SECOND_NS, None, None)]


def test_a_break_mended_before_the_minute_begins_is_none_of_its_own() -> None:
    [found] = minutes(event(0.2, None, BREAK), event(0.8, 100.0), event(30, 100.0), LATER)
    assert (found.realised_variance, found.return_bps) == (0.0, 0.0)


def test_a_minute_is_over_once_a_later_event_came_and_a_silent_one_is_none() -> None:
    assert minutes(event(0, 100.0), event(59, 100.0)) == []
    assert minutes(event(0, 100.0), event(0.5, 100.0), event(61, 100.0)) == []


def test_volatile_is_above_the_median_of_the_hour_before_and_null_with_little_of_it() -> None:
    variances: list[float | None] = [float(k) for k in range(28)]
    variances += [None, 28.0, 13.5, 29.0, 14.0]  # at index 30 there are 29 known before, at 31 thirty
    found = marks_of([Minute("I", k * 60 * SECOND_NS, v, 1.0) for k, v in enumerate(variances)])
    volatile = found.targets["volatile"][:, 0].tolist()
    assert all(math.isnan(value) for value in volatile[:31])
    assert volatile[31:] == [1.0, 0.0]  # 29 against 13.75; 14 against 14


def test_variances_of_more_than_an_hour_ago_are_not_the_past() -> None:
    rows = [Minute("I", k * 60 * SECOND_NS, 1.0, 1.0) for k in range(40)]
    late = [Minute("I", (39 + 60 + k) * 60 * SECOND_NS, 2.0, -1.0) for k in range(2)]
    found = marks_of([*rows, *late])
    assert math.isnan(found.targets["volatile"][-1, 0])
    assert found.targets["up"][-1, 0] == 0.0


def test_an_unchanged_mid_is_neither_up_nor_down() -> None:
    found = marks_of([Minute("I", 0, 1.0, 0.0), Minute("J", 0, 1.0, 0.5), Minute("J", 60 * SECOND_NS, None, None)])
    up = found.targets["up"]
    assert up[0].tolist()[1] == 1.0
    assert [math.isnan(value) for value in (up[0, 0], up[1, 0], up[1, 1])] == [True] * 3
