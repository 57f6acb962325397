"""Live and ready: what moves, what holds, why not and since when."""

from __future__ import annotations

import asyncio
import threading

import pytest

from obflow.health import BROKER, CONDITIONS, FEED, NOT_YET, STUCK_SECONDS, Health, beating
from obflow.metrics import Metrics
from obflow.probes import probing
from schemas.errors import BrokerUnreachable
from schemas.units import NS_PER_SECOND
from tests.support.manual_clock import ManualClock
from tests.support.waiting import eventually

START_S = 1_700_000_000


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START_S * NS_PER_SECOND)


@pytest.fixture
def health(clock: ManualClock) -> Health:
    return Health(clock)


def why(health: Health, name: str) -> str:
    """What is told of a condition."""
    return next(told["why"] for told in health.ready()[1]["conditions"] if told["condition"] == name)


def test_a_loop_that_stands_still_for_too_long_is_not_live(health: Health, clock: ManualClock) -> None:
    clock.advance(STUCK_SECONDS - 0.1)
    assert health.live()[0]

    clock.advance(0.1)
    assert health.live() == (False, {"live": False, "loop_moved_s_ago": STUCK_SECONDS})

    health.beat()
    assert health.live()[0]


def test_a_role_without_conditions_is_ready(health: Health) -> None:
    assert health.ready() == (True, {"ready": True, "conditions": []})


def test_an_expected_condition_does_not_hold_before_it_is_noted(health: Health) -> None:
    health.expect(BROKER, FEED)
    health.note(BROKER)
    assert not health.ready()[0]
    assert (why(health, BROKER), why(health, FEED)) == ("", NOT_YET)

    health.note(FEED)
    assert health.ready()[0]


def test_since_when_is_told_from_the_change_not_from_the_last_look(health: Health, clock: ManualClock) -> None:
    health.note(BROKER)
    clock.advance(5)
    health.note(BROKER, "no answer")
    clock.advance(3)
    health.note(BROKER, "no answer, again")

    assert health.ready()[1]["conditions"] == [
        {"condition": BROKER, "holds": False, "why": "no answer, again", "since_unix_s": START_S + 5, "for_s": 3}
    ]


def test_whether_it_is_live_and_whether_it_is_ready_are_two_things(health: Health, clock: ManualClock) -> None:
    health.note(BROKER, "no answer")
    assert (health.live()[0], health.ready()[0]) == (True, False)

    health.note(BROKER)
    clock.advance(STUCK_SECONDS)
    assert (health.live()[0], health.ready()[0]) == (False, True)


async def test_an_event_loop_beats_while_the_block_runs(health: Health, clock: ManualClock) -> None:
    clock.advance(STUCK_SECONDS)
    async with beating(health):
        await asyncio.sleep(0)
        assert health.live()[0]


def test_a_look_notes_what_it_finds_each_time(health: Health) -> None:
    answers = iter([BrokerUnreachable("no broker answers"), OSError("down"), None])

    def look() -> None:
        error = next(answers, None)
        if error is not None:
            raise error

    heard: list[str] = []
    note = health.note

    def listening(name: str, why: str = "") -> None:
        heard.append(why)
        note(name, why)

    health.note = listening  # type: ignore[method-assign] # to hear each one
    with probing(health, {BROKER: look}, every_s=0.001):
        assert eventually(lambda: health.ready()[0] and len(heard) > 3, 5)
    assert heard[:4] == ["no broker answers", "OSError: down", "", ""]


def test_a_look_that_hangs_keeps_neither_the_others_nor_the_end(health: Health) -> None:
    hanging = threading.Event()
    with probing(health, {BROKER: hanging.wait, FEED: lambda: None}, every_s=0.001):
        health.expect(BROKER)
        assert eventually(lambda: any(told["condition"] == FEED for told in health.ready()[1]["conditions"]), 5)
        assert why(health, BROKER) == NOT_YET
    hanging.set()


def test_a_role_is_not_ready_before_its_conditions_were_seen() -> None:
    for role, conditions in CONDITIONS.items():
        told = Metrics(role).health.ready()
        assert not told[0], role
        assert [one["condition"] for one in told[1]["conditions"]] == list(conditions)
