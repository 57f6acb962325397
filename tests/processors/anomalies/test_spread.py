"""A spread that is several ticks and several times its mean for half a second begins one episode, and ends it once."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.anomalies.spread import SpreadMemory, SpreadStep, take_spread
from schemas.messages import AnomalyReason, L2Record
from tests.processors.anomalies.books import SETTINGS, found_steps
from tests.processors.feed import Feed

MS = 1_000_000
WARM = [2] * 610
"""A minute and a second at a tenth of a second each, the spread two ticks."""


def steps_of(spreads: list[int | None]) -> list[tuple[int, SpreadStep]]:
    """Steps of spreads a tenth of a second apart."""
    memory, found = SpreadMemory(), []
    for at, spread in enumerate(spreads):
        step = take_spread(memory, spread, at * 100 * MS, at, SETTINGS)
        found += [(at, step)] if step else []
    return found


def test_a_wide_spread_begins_after_half_a_second_and_ends_once() -> None:
    (began_at, began), (ended_at, ended) = steps_of([*WARM, *[9] * 20, *[2] * 20])
    assert (began_at, began.reason, began.episode.first_offset) == (615, AnomalyReason.BEGAN, 610)
    assert (ended_at, ended.reason, ended.episode) == (630, AnomalyReason.ENDED, began.episode)
    assert (began.spread_ticks, ended.spread_ticks) == (9, 2)
    assert began.baseline == pytest.approx(2.0 + 7 * 5 / 615), "the spread judged is not in it, those before are"


@pytest.mark.parametrize(
    ("spreads", "why"),
    [
        ([*WARM, *[9] * 5, *[2] * 20], "not for half a second"),
        ([*WARM, *[7] * 20], "less than four times its mean"),
        ([*[1] * 610, *[4] * 20], "less than five ticks"),
        ([2] * 590 + [9] * 10, "not observed for a minute"),
        ([*WARM, *([9] * 4 + [2]) * 20], "narrow in between"),
        ([*WARM, *([9] * 4 + [None]) * 20], "not known in between"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_spread_that_lacks_something_is_not_called_wide(spreads: list[int | None], why: str) -> None:
    assert steps_of(spreads) == [], why


def test_a_spread_that_is_not_known_for_a_while_ends_no_episode() -> None:
    steps = steps_of([*WARM, *[9] * 10, *[None] * 10, *[9] * 10, 2])
    assert [at for at, _ in steps] == [615, 640]


@given(st.lists(st.sampled_from([None, 1, 2, 5, 9, 30]), max_size=80))
def test_episodes_begin_and_end_in_turns_and_never_narrow(spreads: list[int | None]) -> None:
    steps = [step for _, step in steps_of([*WARM, *spreads])]
    assert [step.reason for step in steps] == [AnomalyReason.BEGAN, AnomalyReason.ENDED] * (len(steps) // 2) + [
        AnomalyReason.BEGAN
    ] * (len(steps) % 2)
    for step in steps:
        bar = max(5, 4 * (step.baseline or 0.0))
        assert ((step.spread_ticks or 0) >= bar) is (step.reason is AnomalyReason.BEGAN)


@given(st.lists(st.sampled_from([None, 1, 2, 5, 9, 30]), max_size=60))
def test_a_record_at_the_same_moment_changes_no_baseline(spreads: list[int | None]) -> None:
    once, twice = SpreadMemory(), SpreadMemory()
    for at, spread in enumerate(spreads):
        take_spread(once, spread, at * 100 * MS, at, SETTINGS)
        take_spread(twice, 77, at * 100 * MS, at, SETTINGS)
        take_spread(twice, spread, at * 100 * MS, at, SETTINGS)
    assert once.was == twice.was


def records(*, breaks: bool) -> list[L2Record]:
    """A book that widens after a minute, and then breaks or is narrow again."""
    feed = Feed()
    found = [feed.snapshot([(1_000, 5)], [(1_001, 5), (1_010, 5)])]
    found += [feed.delta([(900, 1 + at % 2)], (), at * 100) for at in range(1, 610)]
    found += [feed.delta((), [(1_001, 0)], 61_000), feed.delta((), [(1_020, 1)], 61_500)]
    return [*found, feed.invalid(62_000) if breaks else feed.delta((), [(1_001, 5)], 62_000)]


@pytest.mark.parametrize("breaks", [True, False])
def test_a_break_ends_the_episode_and_says_so(breaks: bool) -> None:
    found = found_steps(records(breaks=breaks))
    (_, began), (_, ended) = found.steps
    assert isinstance(began, SpreadStep)
    assert isinstance(ended, SpreadStep)
    assert (began.spread_ticks, began.episode.first_offset) == (10, 610)
    assert ended.reason is (AnomalyReason.BROKEN if breaks else AnomalyReason.ENDED)
    assert (ended.spread_ticks is None) is breaks
    assert (found.state.memory.spread == SpreadMemory()) is breaks


def test_a_lasting_widening_becomes_the_baseline() -> None:
    """A longer one closes by itself, as the mean follows: it is not an episode for ever."""
    brief = msgspec.structs.replace(SETTINGS, half_life_seconds=10.0)
    memory, reasons = SpreadMemory(), []
    for at, spread in enumerate([*WARM, *[9] * 600]):
        step = take_spread(memory, spread, at * 100 * MS, at, brief)
        reasons += [step.reason] if step else []
    assert reasons == [AnomalyReason.BEGAN, AnomalyReason.ENDED]
