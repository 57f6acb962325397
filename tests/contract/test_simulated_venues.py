"""One suite over every venue the simulator plays, and over one that is made up: its own client finds its own truth."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.simulator.contract import SimulatedVenue, encode_event
from producers.simulator.events import BOOK_STREAMS, Damage, DepthUpdate, MarketEvent, StreamKind, Subscription
from producers.simulator.exchange import SimulatedExchange, split_target
from producers.simulator.faults import Fault
from producers.simulator.market import Fill
from producers.simulator.recording import SimulatedRecording
from producers.simulator.session import VenueSession
from producers.simulator.venues import SIMULATED
from schemas.errors import UsageError
from schemas.units import NS_PER_SECOND
from tests.support.made_up_simulator import MADE_UP

VENUES = {**SIMULATED, MADE_UP.name: MADE_UP}
START_NS = 1_704_067_200 * 10**9

pytestmark = pytest.mark.parametrize("venue", VENUES.values(), ids=list(VENUES))


def exchange(venue: SimulatedVenue, **options: Any) -> SimulatedExchange:
    """The venue with its first three markets."""
    return SimulatedExchange(venue, venue.listed[:3], start_ns=START_NS, changes_per_second=100.0, **options)


def events(simulated: SimulatedExchange, seconds: float = 5.0) -> list[MarketEvent]:
    items = simulated.advance(simulated.now_ns + int(seconds * 10**9))
    return [item for item in items if isinstance(item, MarketEvent)]


def test_its_client_listens_to_all_streams_of_all_its_instruments(venue: SimulatedVenue) -> None:
    simulated = exchange(venue)
    session = VenueSession(simulated, venue.websocket_target, 0)
    for message in venue.subscriptions(tuple(simulated.specs)):
        answers = [said for said in session.receive(message, 0) if isinstance(said, str)]
        assert answers, "a subscription is acknowledged"

    assert session.subscriptions == {Subscription(name, stream) for name in simulated.specs for stream in BOOK_STREAMS}


def test_the_addresses_of_its_client_are_its_own(venue: SimulatedVenue) -> None:
    paths, rules = [split_target(target)[0] for target in venue.listing_targets(venue.listed)], venue.rules
    books = [split_target(target)[0] for target in map(venue.book_target, venue.listed) if target]

    assert split_target(venue.websocket_target)[0] in rules.websocket_paths
    assert all(path.startswith(tuple(prefix + "/" for prefix in rules.rest_paths)) for path in paths + books)
    assert rules.book_in_stream != bool(books)


def test_its_lists_name_every_instrument_with_its_grid(venue: SimulatedVenue) -> None:
    simulated = exchange(venue)
    answers = [simulated.get(target) for target in venue.listing_targets(tuple(simulated.specs))]
    text = "".join(answer.body for answer in answers)

    assert {answer.status for answer in answers} == {200}
    assert all(0 < answer.weight <= venue.rules.weight.most for answer in answers)
    for spec in simulated.specs.values():
        assert json.dumps(spec.symbol) in text
        # As text, or as a number.
        assert all(re.search(rf'[":]{re.escape(said)}[",}}]', text) for said in (spec.tick_size, spec.lot_size))


def test_what_it_has_delisted_its_list_says_and_nothing_more_comes_of_it(venue: SimulatedVenue) -> None:
    simulated = exchange(venue)
    events(simulated)
    gone, *others = simulated.specs
    before = simulated.get(venue.listing_targets((gone,))[0]).body
    simulated.delist(gone)
    heard = {event.spec.symbol for event in events(simulated)}

    assert simulated.get(venue.listing_targets((gone,))[0]).body != before
    assert heard == set(others)


def test_after_a_change_of_its_tick_the_book_is_the_same_in_finer_ticks(venue: SimulatedVenue) -> None:
    simulated = exchange(venue)
    events(simulated)
    symbol = next(iter(simulated.specs))
    old, before = simulated.specs[symbol], simulated.true_book(symbol)
    simulated.refine(symbol)
    new, after = simulated.specs[symbol], simulated.true_book(symbol)
    listing = simulated.get(venue.listing_targets((symbol,))[0]).body

    assert Decimal(new.tick_size) * 10 == Decimal(old.tick_size)
    assert re.search(rf'[":]{re.escape(new.tick_size)}[",}}]', listing)
    for held, holds in ((before.bids, after.bids), (before.asks, after.asks)):
        assert [Decimal(price) for price, _ in old.level_texts(held)] == [
            Decimal(price) for price, _ in new.level_texts(holds)
        ]
    assert simulated.true_book(symbol, before.sequence) == after
    ticks = {tick for event in events(simulated) if isinstance(event.what, DepthUpdate) for tick, _ in event.what.bids}
    assert any(tick % 10 for tick in ticks), "it trades in the finer ticks"


def test_a_market_that_opens_later_is_listed_and_heard(venue: SimulatedVenue) -> None:
    simulated = SimulatedExchange(venue, venue.listed[:1], start_ns=START_NS, changes_per_second=100.0)
    events(simulated)
    simulated.add_market(venue.listed[1])
    heard = {event.spec.symbol for event in events(simulated)}

    assert heard == set(venue.listed[:2])
    assert json.dumps(venue.listed[1]) in simulated.get(venue.listing_targets((venue.listed[1],))[0]).body


def test_a_subscription_to_trades_begins_with_the_last_ones_where_that_is_wished(venue: SimulatedVenue) -> None:
    simulated = exchange(venue)
    trades = [event for event in events(simulated) if isinstance(event.what, Fill)]
    for count in (0, 2):
        simulated.trades_again = count
        session = VenueSession(simulated, venue.websocket_target, 0)
        said = [one for text in venue.subscriptions(tuple(simulated.specs)) for one in session.receive(text, 0)]
        again = [one for one in said if isinstance(one, MarketEvent) and one.stream is StreamKind.TRADE]
        last = [[one for one in trades if one.spec.symbol == symbol] for symbol in simulated.specs]
        assert again == [event for of_symbol in last for event in of_symbol[len(of_symbol) - count :]]


def test_a_market_that_opens_again_gives_no_trade_an_id_of_before(venue: SimulatedVenue) -> None:
    ids = []
    for start_ns in (START_NS, START_NS + 60 * NS_PER_SECOND):
        simulated = SimulatedExchange(venue, venue.listed[:1], seed=7, start_ns=start_ns, changes_per_second=200.0)
        told = simulated.advance(start_ns + 30 * NS_PER_SECOND)
        fills = [event.what for event in told if isinstance(event, MarketEvent) and isinstance(event.what, Fill)]
        ids.append([fill.trade_id for fill in fills])
    assert ids[0][-1] < ids[1][0]


def test_a_book_it_answers_with_is_the_true_one(venue: SimulatedVenue) -> None:
    simulated = exchange(venue)
    events(simulated)
    for symbol in filter(venue.book_target, simulated.specs):
        answer = simulated.get(venue.book_target(symbol))
        assert answer.book == simulated.true_book(symbol, limit=len(answer.book.bids) if answer.book else 0)
        assert str(simulated.true_book(symbol).sequence) in answer.body
        assert answer.counted_as == f"depth:{symbol}"


def test_its_client_hears_of_every_derivative_beside_the_books(venue: SimulatedVenue) -> None:
    simulated = exchange(venue)
    assert bool(venue.derivatives_target) == any(spec.is_derivative for spec in simulated.specs.values())
    if venue.derivatives_target:
        session = VenueSession(simulated, venue.derivatives_target, 0)
        told = [
            said for text in venue.derivative_subscriptions(tuple(simulated.specs)) for said in session.receive(text, 0)
        ]
        assert all(isinstance(said, str) for said in told), "acknowledged, and nothing is known yet"
        heard = {event.subscription for event in events(simulated) if session.hears(event)}
        assert heard == session.subscriptions
        assert {one.symbol for one in heard} == {spec.symbol for spec in simulated.specs.values() if spec.is_derivative}


def test_its_books_are_the_same_with_and_without_what_is_told_beside_them(venue: SimulatedVenue) -> None:
    with_, without = (list(SimulatedRecording(exchange(venue), 3, derivatives=each)) for each in (True, False))
    assert [frame for frame in with_ if not frame.connection.endswith("-derivatives")] == without
    assert (len(with_) > len(without)) == bool(venue.derivatives_target)


@pytest.mark.parametrize("faults", [{}, {Fault.DISCONNECT: 4.0}], ids=["healthy", "disconnected"])
def test_a_client_that_keeps_to_its_rule_ends_with_the_true_books(
    venue: SimulatedVenue, faults: dict[Fault, float]
) -> None:
    recording = SimulatedRecording(exchange(venue, faults_every_s=faults), 14)
    frames = list(recording)

    for symbol, true in recording.true_books().items():
        reader = recording._readers[symbol]
        assert reader.applied > 100
        for held, levels in ((reader.bids, true["bids"]), (reader.asks, true["asks"])):
            texts = dict(reader.spec.level_texts(held.items()))
            assert texts.items() <= dict(levels).items(), "what it holds is true"
            assert dict(levels[:20]).items() <= texts.items(), "and the best levels are all there"
    assert sum(frame.via == "connect" for frame in frames) == 1 + sum(frame.via == "disconnect" for frame in frames)


def test_every_event_is_written_as_json_and_a_damaged_one_is_damaged(venue: SimulatedVenue) -> None:
    simulated = exchange(venue)
    seen = events(simulated)
    for event in seen:
        assert json.loads(encode_event(venue, event))
        with pytest.raises(json.JSONDecodeError):
            json.loads(encode_event(venue, event._replace(damage=Damage.CUT)))
        if event.stream is StreamKind.DEPTH:
            assert '"1e5"' in encode_event(venue, event._replace(damage=Damage.NUMBER))
    assert {event.stream for event in seen} == {*BOOK_STREAMS, *venue.rules.derivative_streams}


def test_what_it_says_of_itself_is_text(venue: SimulatedVenue) -> None:
    assert json.loads(venue.farewell(START_NS))
    assert all(json.loads(venue.refusal(status)) for status in (418, 429, 503))
    heartbeats = venue.rules.session.heartbeat_every_s or venue.rules.session.heartbeat_answer_s
    assert bool(venue.heartbeat(START_NS)) == bool(heartbeats)


@pytest.mark.parametrize("symbol", ["", "btcusdt", "BTC USDT", "BTC-", "../x", "\u202e", "A" * 100])
def test_a_symbol_that_is_not_in_its_form_is_refused(venue: SimulatedVenue, symbol: str) -> None:
    with pytest.raises(UsageError, match=re.escape(venue.name)):
        venue.market(symbol)


@given(text=st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_a_message_it_does_not_understand_is_answered_and_changes_nothing(venue: SimulatedVenue, text: str) -> None:
    session = VenueSession(_EXCHANGES[venue.name], venue.websocket_target, 0)

    assert len(session.receive(text, 0)) == 1
    assert session.subscriptions == frozenset()


@given(path=st.text(max_size=20), query=st.dictionaries(st.text(max_size=9), st.text(max_size=9), max_size=3))
def test_a_request_it_does_not_understand_is_refused_under_one_name(
    venue: SimulatedVenue, path: str, query: dict[str, str]
) -> None:
    answer = venue.answer(f"{venue.rules.rest_paths[0]}/nothing/{path}", query, _EXCHANGES[venue.name])

    assert (answer.status, answer.counted_as) == (404, "requests_in_error")


_EXCHANGES = {name: exchange(venue) for name, venue in VENUES.items()}
