"""Each trouble of a feed is one finding, from the sentences that feeds themselves say."""

from __future__ import annotations

import pytest

from producers.books.feed_state import FeedTracker, LinkEvent
from producers.checks import DELISTED, LISTED_AS, FeedLook, Trouble, feed_findings
from producers.list_changes import NOT_LISTED, status_sentence
from producers.live import gate
from producers.messages import Instrument
from schemas.messages import FeedState, FeedStatus, Reason, Source

NOW_MS = 1_700_000_000_000
S = 10**9


def said(
    state: FeedState = FeedState.LIVE,
    detail: str = "",
    *,
    ago_s: float = 5.0,
    since_s: float = 5.0,
    ahead_s: float = 0.0,
    symbol: str = "BTCUSDT",
    reason: Reason | None = None,
) -> FeedLook:
    written_ms = NOW_MS - round(ago_s * 1000)
    received_ns = written_ms * 10**6 + round(ahead_s * S)
    status = FeedStatus("binance", symbol, Source.LIVE, state, 1, received_ns, reason, detail=detail)
    return FeedLook(status, written_ms, NOW_MS - round(since_s * 1000))


def kinds(*feeds: FeedLook) -> dict[str, str]:
    return {check.name: check.detail for check in feed_findings(feeds, NOW_MS) if not check.ok}


def test_feeds_that_are_live_or_were_stopped_are_well() -> None:
    [found] = feed_findings([said(), said(FeedState.STOPPED, "", ago_s=5_000, symbol="ETHUSDT")], NOW_MS)

    assert (found.ok, found.detail) == (True, "1 live, 1 stopped")
    assert feed_findings([], NOW_MS)[0].ok


def silent_depth() -> str:
    tracker = FeedTracker()
    tracker.note(LinkEvent.OPENED)
    tracker.note_time(1 * S, 10 * S)
    tracker.note_time(20 * S, 10 * S)
    return tracker.detail(20 * S)


@pytest.mark.parametrize(
    ("look", "kind"),
    [
        (said(FeedState.STALE, silent_depth()), Trouble.CHANNEL),
        (said(detail="no trade since it was subscribed 60 s ago"), Trouble.CHANNEL),
        (said(FeedState.STALE, "no connection for 31 s"), Trouble.CHANNEL),
        (said(FeedState.STALE, "no depth update for 31 s"), Trouble.CHANNEL),
        (said(detail="the venue lists it as BREAK"), Trouble.BREAK),
        (said(FeedState.STOPPED, "the venue lists it as CLOSE: it will not trade again", ago_s=900), Trouble.DELISTED),
        (said(detail=gate._sentence(gate.Refusal(418, ()))), Trouble.BAN),
        (said(detail=gate._sentence(gate.Refusal(403, ()))), Trouble.BAN),
        (said(detail=gate._sentence(gate.Refusal(451, ()))), Trouble.BAN),
        (said(ago_s=31), Trouble.GONE),
        (said(FeedState.INVALID, since_s=61, reason=Reason.GAP), Trouble.STUCK),
        (said(FeedState.DISCONNECTED, since_s=61), Trouble.STUCK),
        (said(ahead_s=1.5), Trouble.CLOCK),
    ],
)
def test_each_trouble_is_a_finding_of_its_own_with_a_remedy(look: FeedLook, kind: Trouble) -> None:
    [found] = feed_findings([look, said(symbol="ETHUSDT")], NOW_MS)

    assert (found.name, found.ok) == (kind, False)
    assert found.detail.startswith("binance:BTCUSDT: ")
    assert found.remedy


def test_several_troubles_of_a_feed_are_all_named() -> None:
    detail = "no depth update for 40 s; the venue lists it as BREAK; the venue refuses requests (HTTP 418)"

    assert kinds(said(FeedState.STALE, detail)) == {
        "channel silent": "binance:BTCUSDT: no depth update for 40 s",
        "symbol in break": "binance:BTCUSDT: the venue lists it as BREAK",
        "ban in force": "binance:BTCUSDT: the venue refuses requests (HTTP 418)",
    }


def test_a_state_is_given_a_minute_before_it_is_no_longer_well() -> None:
    assert kinds(said(FeedState.AWAITING_SNAPSHOT, since_s=59)) == {}
    assert kinds(said(FeedState.AWAITING_SNAPSHOT, since_s=99, reason=Reason.GAP)) == {
        "feed not live": "binance:BTCUSDT: awaiting_snapshot, for 99 s, gap"
    }


def test_of_many_feeds_five_are_named_and_the_others_counted() -> None:
    [detail] = kinds(*(said(ago_s=99, symbol=f"S{number}") for number in range(9))).values()

    assert detail.count("binance:S") == 5
    assert detail.endswith("and 4 more")


def test_producers_that_are_gone_are_named_with_the_command_of_each_venue() -> None:
    [found] = feed_findings([said(ago_s=31, symbol=symbol) for symbol in ("B", "A", "odd one")], NOW_MS)

    assert found.remedy.endswith(" as with `obflow produce binance --symbol A --symbol B --symbol 'odd one'`")


def test_the_words_of_the_listing_are_those_that_feeds_say() -> None:
    instrument = Instrument("binance", "BTCUSDT", "1", "1", trading_status="CLOSE", is_delisted=True)

    assert status_sentence(instrument).startswith(LISTED_AS)
    assert DELISTED in status_sentence(instrument)
    assert DELISTED in NOT_LISTED
