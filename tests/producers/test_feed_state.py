"""What a feed shows: the tables are whole, and say what three plain flags would."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from orderbook.validity import Validity
from producers.books.feed_state import AFTER, SHOWN, SHOWN_UP, FeedTracker, Link, LinkEvent
from schemas.messages import FeedState, Reason

S = 1_000_000_000


def test_every_event_has_an_answer_in_every_state_and_every_state_is_shown() -> None:
    assert set(AFTER) == set(LinkEvent)
    assert all(set(row) == set(Link) for row in AFTER.values())
    assert set(SHOWN) | {Link.UP} == set(Link)
    assert set(SHOWN_UP) == {(validity, silent) for validity in Validity for silent in (False, True)}
    assert set(SHOWN.values()) | set(SHOWN_UP.values()) == set(FeedState)


class Flags:
    """The same, told by flags: nothing stood yet, it was lost, it was stopped."""

    def __init__(self) -> None:
        self.connecting, self.lost, self.stopped = True, False, False

    def note(self, event: LinkEvent) -> None:
        if event in (LinkEvent.OPENED, LinkEvent.RECEIVED):
            self.connecting = self.lost = self.stopped = False
        elif event is LinkEvent.FETCHED:
            self.connecting = False
        elif event is LinkEvent.LOST:
            self.lost = True
        else:
            self.stopped = True

    def state(self, validity: Validity) -> FeedState:
        if self.stopped:
            return FeedState.STOPPED
        if self.lost:
            return FeedState.DISCONNECTED
        if self.connecting:
            return FeedState.CONNECTING
        return {
            Validity.LIVE: FeedState.LIVE,
            Validity.INVALID: FeedState.INVALID,
            Validity.AWAITING_SNAPSHOT: FeedState.AWAITING_SNAPSHOT,
        }[validity]


@given(st.lists(st.sampled_from(LinkEvent), max_size=12), st.sampled_from(Validity))
def test_the_tables_say_what_three_flags_would(events: list[LinkEvent], validity: Validity) -> None:
    feed, flags = FeedTracker(), Flags()
    for event in events:
        before = feed.link
        assert feed.note(event) == (feed.link is not before)
        flags.note(event)
        assert feed.state(validity) == flags.state(validity)


def test_silence_tells_stale_from_live_until_depth_comes_again() -> None:
    feed = FeedTracker()
    feed.note_depth(10 * S)
    assert feed.note_time(40 * S, 30 * S) == ""
    assert feed.note_time(41 * S, 30 * S) == "no depth update for 31 s"
    assert feed.state(Validity.LIVE) is FeedState.STALE
    assert feed.state(Validity.INVALID) is FeedState.INVALID
    assert not feed.note(LinkEvent.RECEIVED), "a trade keeps no book fresh"
    assert feed.note_depth(41 * S)
    assert feed.state(Validity.LIVE) is FeedState.LIVE


def test_a_status_is_news_once_and_again_with_another_reason_or_epoch() -> None:
    feed = FeedTracker(link=Link.UP)
    told = [
        feed.is_news(Validity.LIVE, reason, epoch)
        for reason, epoch in [(None, 1), (None, 1), (None, 2), (Reason.GAP, 2), (Reason.GAP, 2)]
    ]
    assert told == [True, False, True, True, False]
