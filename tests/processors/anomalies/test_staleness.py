"""A feed is stale from its producer's word on until the next other one: one episode, begun and ended once."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.messages import AnomalyEvent, AnomalyKind, AnomalyReason, FeedState, FeedStatus, Source
from schemas.places import named_place
from tests.processors.derived.recorded import emitted, run_stage

SECOND = 1_000_000_000
STATES = st.lists(st.tuples(st.sampled_from(Source), st.sampled_from(FeedState), st.booleans()), max_size=40)


def status(at_s: int, state: FeedState, source: Source = Source.LIVE, *, heartbeat: bool = False) -> FeedStatus:
    return FeedStatus("binance", "BTCUSDT", source, state, 1, at_s * SECOND, heartbeat=heartbeat, run="live/x/1/2")


def told(statuses: list[FeedStatus]) -> list[AnomalyEvent]:
    return emitted(run_stage("staleness", statuses))


def test_a_stale_feed_begins_one_episode_that_ends_when_it_is_live() -> None:
    states = [FeedState.LIVE, FeedState.STALE, FeedState.STALE, FeedState.LIVE, FeedState.LIVE]
    began, ended = told([status(at, state) for at, state in enumerate(states)])
    assert (began.kind, began.reason, began.source_offset) == (AnomalyKind.STALE, AnomalyReason.BEGAN, 1)
    assert (began.opened_offset, began.lasted_ms, began.first_offset) == (None, None, 1)
    assert (ended.reason, ended.source_offset, ended.opened_offset) == (AnomalyReason.ENDED, 3, 1)
    assert (ended.lasted_ms, ended.received_ns, ended.run) == (2_000.0, 3 * SECOND, "live/x/1/2")


@pytest.mark.parametrize("state", [one for one in FeedState if one not in (FeedState.STALE, FeedState.LIVE)])
def test_a_feed_that_goes_from_stale_to_worse_ends_it_as_broken(state: FeedState) -> None:
    _, ended = told([status(1, FeedState.STALE), status(2, state)])
    assert ended.reason is AnomalyReason.BROKEN


def test_a_heartbeat_says_that_a_feed_is_stale_too() -> None:
    assert len(told([status(1, FeedState.STALE, heartbeat=True), status(2, FeedState.STALE)])) == 1


def test_a_replay_ends_no_episode_of_the_live_feed() -> None:
    events = told([status(1, FeedState.STALE), status(2, FeedState.LIVE, Source.REPLAY), status(3, FeedState.LIVE)])
    assert [event.source_offset for event in events] == [0, 2]


@given(STATES)
def test_episodes_of_each_source_begin_and_end_in_turns(states: list[tuple[Source, FeedState, bool]]) -> None:
    given_ = [status(at, state, source, heartbeat=beat) for at, (source, state, beat) in enumerate(states)]
    for source in Source:
        events = [event for event in told(given_) if event.feed_source is source]
        assert [event.reason is AnomalyReason.BEGAN for event in events] == [at % 2 == 0 for at in range(len(events))]
        last = [state for of, state, _ in states if of is source][-1:]
        assert len(events) % 2 == (last == [FeedState.STALE])


def test_time_that_goes_back_gives_no_negative_length() -> None:
    _, ended = told([status(9, FeedState.STALE), status(2, FeedState.LIVE)])
    assert ended.lasted_ms == 0.0


def test_its_place_is_in_the_log_of_statuses_so_it_names_none_in_the_books() -> None:
    [event] = told([status(1, FeedState.STALE)])
    assert named_place(event) is None
    assert named_place(msgspec.structs.replace(event, kind=AnomalyKind.LOCKED)) is not None
