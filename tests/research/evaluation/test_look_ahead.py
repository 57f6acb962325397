"""Nothing that is decided or comes after a mark is in any forecast at that mark."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from research.evaluation.evaluate import JudgedModel, probabilities
from research.evaluation.forecasters import known_at
from research.evaluation.marks import Floats, marks_of
from research.evaluation.rows import RULES, Minute, RegimeForecast
from tests.support.tiers import fourth_of

MINUTE_NS, SECOND_NS = 60 * 10**9, 10**9
MARKS = 12
LABELS = st.sampled_from(["BALANCED", "VOLATILE"])
SHARES = st.none() | st.floats(0.0, 1.0)
MOVES = st.none() | st.sampled_from([-1.0, 0.0, 1.0, 2.0])
INSTRUMENTS = st.sampled_from(["A", "B"])

minutes = st.lists(
    st.builds(Minute, INSTRUMENTS, st.integers(1, MARKS).map(lambda k: k * MINUTE_NS), st.none() | st.just(1.0), MOVES),
    unique_by=lambda minute: minute[:2],
    max_size=20,
)
forecasts = st.lists(
    st.builds(
        RegimeForecast,
        INSTRUMENTS,
        st.integers(0, MARKS * 60 + 90).map(lambda second: second * SECOND_NS),
        st.sampled_from([RULES, "m"]),
        LABELS,
        SHARES,
        SHARES,
    ),
    max_size=30,
)
Rows = tuple[list[Minute], list[RegimeForecast]]


def at_marks(rows: Rows) -> dict[tuple[str, str, str, int], float]:
    """Every forecast at every mark, by forecaster, target, instrument and mark."""
    marks = marks_of(rows[0])
    of_rules, of_model = (known_at(marks, [row for row in rows[1] if row.forecaster == who]) for who in (RULES, "m"))
    said = probabilities(marks, of_rules, JudgedModel("m", [row for row in rows[1] if row.forecaster == "m"], of_model))

    def each(p: Floats) -> Any:
        return np.ndenumerate(p)

    return {
        (who, target, marks.instruments[column], int(marks.times_ns[row])): value
        for who, targets in said.items()
        for target, p in targets.items()
        for (row, column), value in each(p)
    }


@settings(max_examples=fourth_of(50))
@given(minutes, forecasts, minutes, forecasts, st.integers(1, MARKS))
def test_changing_all_that_comes_after_a_mark_leaves_its_forecasts(
    came: list[Minute], said: list[RegimeForecast], other: list[Minute], others: list[RegimeForecast], k: int
) -> None:
    mark = k * MINUTE_NS
    places = [minute[:2] for minute in came if minute.mark_ns <= mark]
    now = [minute for minute in came if minute.mark_ns == mark]
    changed = (
        [minute for minute in came if minute.mark_ns < mark]
        + [Minute(*minute[:2], None, None if minute.return_bps else 3.0) for minute in now]
        + [minute for minute in other if minute.mark_ns > mark],
        [row for row in said if row.decided_ns <= mark] + [row for row in others if row.decided_ns > mark],
    )
    before, after = at_marks((came, said)), at_marks(changed)

    for who, target, instrument, at in before.keys() & after.keys():
        if at <= mark and (instrument, at) in places:
            key = (who, target, instrument, at)
            assert before[key] == after[key] or np.isnan([before[key], after[key]]).all()
