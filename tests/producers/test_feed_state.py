"""What a feed shows: the tables are whole, and say what three plain flags would."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from orderbook.validity import Validity
from producers.books.feed_state import AFTER, SHOWN, SHOWN_UP, FeedTracker, Link, LinkEvent
from producers.contract import Channel
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


def test_silence_makes_every_feed_with_a_connection_stale_until_depth_comes_again() -> None:
    feed = FeedTracker()
    feed.note_depth(10 * S)
    feed.note_time(40 * S, 30 * S)
    assert (feed.detail(40 * S), feed.silences) == ("", ())
    feed.note_time(41 * S, 30 * S)
    assert feed.silences[0] is Channel.DEPTH
    assert feed.detail(41 * S).startswith("no depth update for 31 s")
    assert {feed.state(validity) for validity in Validity} == {FeedState.STALE}
    assert not feed.note(LinkEvent.RECEIVED), "a trade keeps no book fresh"
    assert feed.note_depth(41 * S)
    assert feed.state(Validity.LIVE) is FeedState.LIVE


def test_a_feed_whose_connection_never_stood_is_stale_too() -> None:
    feed = FeedTracker()
    feed.note_time(10 * S, 30 * S)
    assert feed.state(Validity.AWAITING_SNAPSHOT) is FeedState.CONNECTING
    feed.note_time(41 * S, 30 * S)
    assert feed.state(Validity.AWAITING_SNAPSHOT) is FeedState.STALE
    assert feed.detail(41 * S) == "no connection for 31 s"


def test_of_trades_and_quotes_the_first_message_alone_is_missed() -> None:
    feed = FeedTracker(link=Link.UP, since_ns=10 * S, depth_ns=41 * S, quote_ns=11 * S)
    feed.note_time(41 * S, 30 * S)
    assert feed.silences == (Channel.TRADE,)
    assert feed.detail(41 * S) == "no trade since it was subscribed 31 s ago"
    assert feed.state(Validity.LIVE) is FeedState.LIVE
    feed.trade_ns = 42 * S
    feed.depth_ns = 900 * S
    feed.note_time(900 * S, 30 * S)
    assert feed.silences == ()


def test_a_status_is_news_once_and_again_with_another_reason_or_epoch() -> None:
    feed = FeedTracker(link=Link.UP)
    told = [
        feed.is_news(Validity.LIVE, reason, epoch)
        for reason, epoch in [(None, 1), (None, 1), (None, 2), (Reason.GAP, 2), (Reason.GAP, 2)]
    ]
    assert told == [True, False, True, True, False]
