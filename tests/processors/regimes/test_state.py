"""Windows close in order whatever is sent again, restored or out of time, and the same events give the same regimes."""

from collections import Counter
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.derived.followed import BEGAN_ANEW_NS
from processors.regimes.state import SHOWN_WINDOWS, Closed, Passed, RegimeState, close_windows, renewed
from processors.regimes.window import WINDOW_NS
from schemas.errors import DecodeError
from schemas.factors import FACTOR_INDEX
from schemas.messages import FactorEvent, FactorRecord, InstrumentKey, Regime, RegimeEvent, Source, Status
from tests.processors.regimes.generated import L2_LOG, RULES, TRADED, Market, event_of, packed, record, shifted
from tests.processors.regimes.test_window import event
from tests.support.regime_digest import regime_digest

BTC = InstrumentKey("binance-futures", "BTCUSDT")
BEFORE = Path(__file__).parent / "before" / "regimes.2.hex"


class Taker:
    """A state, what it closed, and what it passed over."""

    def __init__(self) -> None:
        self.state = RegimeState()
        self.closed: list[Closed] = []
        self.passed: Counter[Passed] = Counter()

    def take(self, *records: FactorRecord) -> "Taker":
        for each in records:
            self.closed += close_windows(self.state, each, RULES, lambda why: self.passed.update([why]))
        return self

    def restart(self) -> None:
        self.state = RegimeState.from_bytes(self.state.to_bytes())

    def events(self) -> list[RegimeEvent]:
        return [event_of(BTC, closed) for closed in self.closed]


def expected_windows(events: list[FactorEvent]) -> list[tuple[int, int]]:
    """Start and number of events of every window but the last: a count by hand, for events in order of time."""
    counts = Counter(event.received_ns // WINDOW_NS for event in events)
    return [(index * WINDOW_NS, counts[index]) for index in sorted(counts)][:-1]


@given(st.integers(0, 10_000), st.lists(st.integers(1, 60), min_size=1, max_size=5))
def test_every_window_but_the_open_one_gives_one_event_in_order_and_empty_ones_none(
    seed: int, sizes: list[int]
) -> None:
    events = Market(seed).events(300)
    found = Taker().take(*packed(events, sizes)).events()
    assert [(event.window_start_ns, event.events) for event in found] == expected_windows(events)
    assert all(before.window_end_ns < after.window_end_ns for before, after in pairwise(found))
    assert all(before.source_offset < after.source_offset for before, after in pairwise(found))


@given(
    st.integers(0, 10_000),
    st.lists(st.integers(1, 60), min_size=1, max_size=5),
    st.lists(st.integers(0, 399), max_size=6),
    st.integers(0, 200),
)
def test_any_split_with_restarts_and_repetitions_gives_the_same_bits(
    seed: int, sizes: list[int], cuts: list[int], back: int
) -> None:
    events = Market(seed).events(400)
    whole = Taker().take(*packed(events, [256])).events()
    taker, at = Taker(), 0
    for cut in sorted(cuts):
        taker.take(*packed(events[max(0, at - back) : cut], sizes))  # what was taken before is sent again
        taker.restart()
        at = max(at, cut)
    taker.take(*packed(events[max(0, at - back) :], sizes))
    assert taker.events() == whole
    assert regime_digest(taker.events()) == regime_digest(whole)


def test_the_digest_covers_the_judgement_and_not_where_it_lies() -> None:
    events = Market(1).events(200)
    found = Taker().take(record(events)).events()
    elsewhere = Taker().take(record([shifted(each, offset=7) for each in events], partition=3)).events()
    assert regime_digest(elsewhere) == regime_digest(found)
    assert regime_digest(found[:-1]) != regime_digest(found)
    later = Taker().take(record([shifted(each, seconds=5) for each in events])).events()
    assert regime_digest(later) != regime_digest(found)


def _without_trades(events: list[RegimeEvent]) -> list[RegimeEvent]:
    return [msgspec.structs.replace(one, trade_flow=None, trade_volume=None) for one in events]


def test_the_rules_judge_the_same_whatever_was_traded() -> None:
    events = Market(3).events(4000)
    silent = [_with(each, dict.fromkeys(TRADED)) for each in events]
    found = Taker().take(*packed(events, [256])).events()
    assert any(one.trade_flow for one in found)
    assert Taker().take(*packed(silent, [256])).events() == _without_trades(found)


def test_the_digest_covers_trades_and_is_what_it_was_where_there_were_none() -> None:
    found = Taker().take(record(Market(1).events(200))).events()
    without = _without_trades(found)
    doubled = [msgspec.structs.replace(one, trade_volume=(one.trade_volume or 0.0) * 2) for one in found]
    assert regime_digest(without) == "6a5c1fe6b4591306ba7e45cd7e212568b4acc6a578255788dc811e9cde31c645"
    assert len({regime_digest(found), regime_digest(without), regime_digest(doubled)}) == 3


def test_a_checkpoint_of_the_version_before_goes_on_and_then_knows_trades() -> None:
    """`before/regimes.2.hex` is what it made of the first 400 events; they end within a window."""
    events = Market(17).events(800)
    whole, taker = Taker().take(*packed(events, [256])), Taker()
    taker.state = RegimeState.from_bytes(renewed(bytes.fromhex(BEFORE.read_text())))
    taker.take(*packed(events[400:], [256]))
    found, expected = taker.closed, whole.closed[-len(taker.closed) :]
    assert len(found) > 2 * SHOWN_WINDOWS
    assert [one.verdict for one in found] == [one.verdict for one in expected]
    assert [one.window for one in found] == [one.window for one in expected]
    assert {one.trade_flow for one in found[0].recent[:-1]} == {None}, "windows before it have none"
    assert found[SHOWN_WINDOWS:] == expected[SHOWN_WINDOWS:]


def test_a_checkpoint_of_the_version_before_that_is_cut_is_refused() -> None:
    data = bytes.fromhex(BEFORE.read_text())
    for bad in (*(data[:length] for length in range(0, len(data), 97)), b"\xc0", b"\x81\xa6recent\x91\x01"):
        with pytest.raises(DecodeError):
            renewed(bad)


def test_labels_of_many_kinds_occur() -> None:
    """Else the equalities above would say little."""
    labels = Counter(event.label for event in Taker().take(*packed(Market(3).events(8000), [256])).events())
    assert set(labels) == set(Regime)


SIDES = {"bid_depth_10bps": "ask_depth_10bps", "trade_buy_5s": "trade_sell_5s"}
SIDES |= {other: name for name, other in SIDES.items()}
MIRROR = {Regime.BULLISH_PRESSURE: Regime.BEARISH_PRESSURE, Regime.BEARISH_PRESSURE: Regime.BULLISH_PRESSURE}


def _with(each: FactorEvent, changed: Mapping[str, float | None]) -> FactorEvent:
    values = list(each.values)
    for name, value in changed.items():
        values[FACTOR_INDEX[name]] = value
    found: FactorEvent = msgspec.structs.replace(each, values=tuple(values))
    return found


def _sides_swapped(each: FactorEvent) -> FactorEvent:
    """The factors of the same book with bids for asks: imbalance and flows change sign, depths and trades places."""
    values = list(each.values)
    for name in ("obi_l1", "obi_l5", "obi_10bps", "ofi_l1", "ofi_l1_1s"):
        value = values[FACTOR_INDEX[name]]
        values[FACTOR_INDEX[name]] = None if value is None else -value
    for name, other in SIDES.items():
        values[FACTOR_INDEX[name]] = each.values[FACTOR_INDEX[other]]
    swapped: FactorEvent = msgspec.structs.replace(each, values=tuple(values))
    return swapped


@pytest.mark.parametrize("seed", range(4))
def test_swapping_the_sides_of_the_book_swaps_bullish_and_bearish_and_nothing_else(seed: int) -> None:
    events = Market(seed).events(4000)
    straight = Taker().take(*packed(events, [256])).events()
    swapped = Taker().take(*packed([_sides_swapped(each) for each in events], [256])).events()
    assert [other.label for other in swapped] == [MIRROR.get(one.label, one.label) for one in straight]
    assert [other.score for other in swapped] == [one.score for one in straight]
    assert set(MIRROR) <= {one.label for one in straight}
    assert [other.trade_flow for other in swapped] == [
        None if one.trade_flow is None else -one.trade_flow for one in straight
    ]
    assert [other.trade_volume for other in swapped] == [one.trade_volume for one in straight]


def test_repeated_events_are_counted_and_change_nothing() -> None:
    events = Market(5).events(100)
    taker = Taker().take(record(events)).take(record(events[40:]))
    assert taker.events() == Taker().take(record(events)).events()
    assert taker.passed == {Passed.REPEATED: 60}


def test_another_source_log_starts_afresh_and_the_one_that_was_left_is_over() -> None:
    old, new = Market(7).events(100), Market(8).events(100)
    taker = Taker().take(record(old), record(new, source_log="newlognn"), record(old, source_log=L2_LOG))
    alone = Taker().take(record(new, source_log="newlognn")).events()
    assert taker.events() == Taker().take(record(old)).events() + alone
    assert taker.passed == {Passed.LEFT_LOG: 100}


def test_a_late_event_is_counted_and_left_out() -> None:
    events = Market(9).events(100)
    late = shifted(events[-1], seconds=-20, offset=1)
    taker = Taker().take(record(events), record([late]), record([shifted(events[-1], seconds=9, offset=2)]))
    onward = Taker().take(record(events), record([shifted(events[-1], seconds=9, offset=2)]))
    assert taker.events() == onward.events()
    assert taker.passed == {Passed.LATE: 1}


def test_a_recording_replayed_as_it_was_begins_anew_and_gives_the_same_regimes_again() -> None:
    events = Market(11).events(400)
    assert events[-1].received_ns - events[0].received_ns > 2 * BEGAN_ANEW_NS
    again = [shifted(each, offset=events[-1].source_offset + 1) for each in events]
    taker = Taker().take(record(events), record(again))
    once = Taker().take(record(events)).events()
    assert taker.passed == {Passed.BEGAN_ANEW: 1}
    assert regime_digest(taker.events()) == regime_digest(once + once)
    assert all(before.source_offset < after.source_offset for before, after in pairwise(taker.events()))


def test_a_window_knows_those_since_the_book_broke_and_whose_frames_it_held() -> None:
    closed = Taker().take(record(Market(13).events(1600))).closed
    broken = [index for index, each in enumerate(closed) if not each.window.whole]
    assert len(closed) > broken[0] + SHOWN_WINDOWS
    for index, each in enumerate(closed):
        first = max([index - SHOWN_WINDOWS + 1, 0, *(at + 1 for at in broken if at < index)])
        first = index if index in broken else first
        assert list(each.recent) == [one.window for one in closed[first : index + 1]]
        assert each.began_ns <= each.recent[0].start_ns
    replayed = FactorRecord("binance-futures", "BTCUSDT", Source.REPLAY, "a1", L2_LOG, 0, Market(13).events(400))
    taker = Taker().take(record(Market(1, start_ns=0).events(1)), replayed)
    assert [each.feed_source for each in taker.closed[:2]] == [Source.SIMULATOR, Source.REPLAY]


def test_a_broken_book_is_unknown_at_once_and_warms_up_anew() -> None:
    """Section 0: the memory restarts where the book was lost."""
    calm = [event(second / 2, mid=100.0, obi_10bps=0.1 * (-1) ** second) for second in range(200)]
    broken = [event(100.2, Status.RESYNCING)]
    after = [event(100.5 + second / 2, mid=100.0, obi_10bps=0.1 * (-1) ** second) for second in range(200)]
    numbered = [shifted(each, offset=index) for index, each in enumerate([*calm, *broken, *after])]
    found = [each.label for each in Taker().take(record(numbered[:200]), record(numbered[200:])).events()]
    unknown = [index for index, label in enumerate(found) if label is Regime.UNKNOWN]
    assert unknown == [*range(12), *range(20, 33)]


def test_no_return_spans_a_hole() -> None:
    """The book breaks late in a window and is back at another price in the next: that is no return."""
    lived = [event(3.0, mid=100.0), event(4.9, Status.RESYNCING), event(6.0, mid=200.0), event(8.0, mid=200.0)]
    numbered = [shifted(each, offset=index) for index, each in enumerate([*lived, event(11.0, mid=200.0)])]
    first, second = Taker().take(record(numbered)).events()
    assert (first.whole, first.realised_variance) == (False, None)
    assert (second.whole, second.realised_variance, second.return_bps) == (True, 0.0, None)


def test_a_checkpoint_that_is_cut_or_makes_no_sense_is_refused() -> None:
    data = Taker().take(record(Market(17).events(500))).state.to_bytes()
    RegimeState.from_bytes(data)
    for bad in (b"", data[:3], data[:-1], data + b"x", b"\x01" + data):
        with pytest.raises(DecodeError):
            RegimeState.from_bytes(bad)


def test_a_checkpoint_stays_small_however_long_it_goes_on() -> None:
    taker = Taker().take(*packed(Market(19, step_s=3.0).events(6000), [256]))
    assert len(taker.closed) > 1_000
    assert len(taker.state.to_bytes()) < 10_000
