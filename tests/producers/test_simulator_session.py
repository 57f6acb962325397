"""What a simulated venue can be: books in the stream, heartbeats, lifetimes, all by a venue that nobody runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from producers.simulator.contract import SessionRules, encode_event
from producers.simulator.events import DepthUpdate, MarketEvent, StreamKind, Subscription
from producers.simulator.exchange import SimulatedExchange
from producers.simulator.faults import Fault
from producers.simulator.recording import SimulatedRecording
from producers.simulator.session import Duty, VenueSession
from producers.simulator.true_book import WholeBook
from tests.support.made_up_simulator import LEVELS, MADE_UP, RULES, MadeUpVenue

START_NS = 1_704_067_200 * 10**9
SECOND_NS = 10**9
BOOK = Subscription("BTC-EUR", StreamKind.DEPTH)


def exchange(*symbols: str, rate: float = 200.0, venue: MadeUpVenue | None = None, **options: Any) -> SimulatedExchange:
    names = symbols or ("BTC-EUR",)
    return SimulatedExchange(venue or MADE_UP, names, start_ns=START_NS, changes_per_second=rate, **options)


def listen(session: VenueSession, do: str = "listen", now_ns: int = 0) -> list[str | MarketEvent]:
    return list(session.receive(json.dumps({"do": do, "to": ["book:BTC-EUR"], "tag": "a"}), now_ns))


class Reader:
    """A client's book: a whole book replaces it, a change has to follow, as the made-up venue's rule says."""

    def __init__(self) -> None:
        self.sides: dict[str, dict[str, str]] = {}
        self.n = 0

    def take(self, text: str) -> None:
        frame = json.loads(text)
        if frame["kind"] == "whole":
            self.sides = {"buy": {}, "sell": {}}
        else:
            assert frame["after"] == self.n, "a change follows what was before it"
            assert frame["n"] == self.n + 1, "ids count updates"
        self.n = frame["n"]
        for side, levels in self.sides.items():
            levels.update((price, size) for price, size in frame[side])
            self.sides[side] = {price: size for price, size in levels.items() if float(size)}

    def assert_true(self, simulated: SimulatedExchange, symbol: str = "BTC-EUR") -> None:
        view, spec = simulated.true_book(symbol, self.n, LEVELS), simulated.specs[symbol]
        true = {"buy": dict(spec.level_texts(view.bids)), "sell": dict(spec.level_texts(view.asks))}
        assert self.sides == true
        assert [len(levels) for levels in true.values()] == [LEVELS, LEVELS]


def depth(simulated: SimulatedExchange, until_s: float) -> Iterator[MarketEvent]:
    for item in simulated.advance(START_NS + int(until_s * SECOND_NS)):
        if isinstance(item, MarketEvent) and item.stream is StreamKind.DEPTH:
            yield item


@pytest.mark.parametrize("joined_s", [0.0, 0.05, 0.1, 3.33])
def test_a_book_that_comes_in_the_stream_is_followed_by_its_updates(joined_s: float) -> None:
    simulated, reader = exchange(), Reader()
    list(depth(simulated, joined_s))
    session = VenueSession(simulated, "/made", 0)
    acknowledged, whole = listen(session)

    assert acknowledged == '{"done": "a"}'
    assert isinstance(whole, MarketEvent)
    reader.take(encode_event(MADE_UP, whole))
    reader.assert_true(simulated)
    for event in depth(simulated, joined_s + 10):
        reader.take(encode_event(MADE_UP, event))
    reader.assert_true(simulated)
    assert reader.n - whole.what.sequence >= 99  # type: ignore[union-attr]


def test_a_book_breaks_at_a_lost_update_and_is_whole_again_once_subscribed_again() -> None:
    simulated, reader = exchange(), Reader()
    session = VenueSession(simulated, "/made", 0)
    simulated.inject(Fault.GAP, "BTC-EUR")
    events = [listen(session)[1], *depth(simulated, 1)]
    texts = [encode_event(MADE_UP, event) for event in events]  # type: ignore[arg-type]
    reader.take(texts[0])
    with pytest.raises(AssertionError, match="follows what was before"):
        reader.take(texts[1])

    assert listen(session, "leave") == ['{"done": "a"}']
    assert session.subscriptions == frozenset()
    for event in (listen(session)[1], *depth(simulated, 5)):
        reader.take(encode_event(MADE_UP, event))  # type: ignore[arg-type]
    reader.assert_true(simulated)


def test_an_update_that_was_held_back_is_not_sent_after_a_book_that_holds_it() -> None:
    simulated, reader = exchange(), Reader()
    simulated.inject(Fault.DISORDER, "BTC-EUR")
    assert list(depth(simulated, 0.1)) == [], "the first update is held back"
    session = VenueSession(simulated, "/made", 0)
    reader.take(encode_event(MADE_UP, listen(session)[1]))  # type: ignore[arg-type]
    after, held = depth(simulated, 0.2)

    assert session.hears(after)
    assert not session.hears(held)
    reader.take(encode_event(MADE_UP, after))
    reader.assert_true(simulated)


def test_a_whole_book_that_nobody_asked_for_replaces_the_book() -> None:
    simulated, reader = exchange(), Reader()
    reader.take(encode_event(MADE_UP, simulated.snapshot("BTC-EUR")))
    simulated.inject(Fault.SNAPSHOT, "BTC-EUR", 3)
    events = list(depth(simulated, 5))
    for event in events:
        reader.take(encode_event(MADE_UP, event))
    reader.assert_true(simulated)

    assert [isinstance(event.what, WholeBook) for event in events[:7]] == [False, True] * 3 + [False]
    assert simulated.faults["BTC-EUR"].injected[Fault.SNAPSHOT] == 3


def test_update_ids_count_updates_even_where_none_leaves_for_a_while() -> None:
    updates = [event.what for event in depth(exchange(rate=2.0), 60)]
    assert all(isinstance(update, DepthUpdate) and update.first_id == update.last_id for update in updates)
    assert 20 < len(updates) < 300
    assert all(after.last_id == before.last_id + 1 for before, after in pairwise(updates))  # type: ignore[union-attr]


def test_what_is_not_traded_is_refused_and_subscribes_nothing() -> None:
    session = VenueSession(exchange(), "/made", 0)
    refused = session.receive('{"do": "listen", "to": ["book:ETH-EUR", "book:BTC-EUR"], "tag": "x"}', 0)

    assert json.loads(str(refused[0]))["failed"] == "x"
    assert (len(refused), session.subscriptions) == (1, frozenset())


def test_a_handshake_that_names_a_stream_nobody_has_keeps_no_name() -> None:
    from producers.simulator.venues import simulated_venue

    spot = SimulatedExchange(simulated_venue("binance"), ["BTCUSDT"], start_ns=START_NS)
    session = VenueSession(spot, "/stream?streams=btcusdt@trade/nopeusdt@trade/btcusdt@nope", 0)

    assert session.begin() == []
    assert session.subscriptions == {Subscription("BTCUSDT", StreamKind.TRADE)}


def lived(rules: SessionRules, until_s: int, says: dict[int, str] | None = None) -> dict[int, Duty]:
    """What a venue does by itself on a connection, by second; the client says something at some seconds."""
    session = VenueSession(exchange(venue=MadeUpVenue(rules=RULES._replace(session=rules))), "/made", 0)
    done = {}
    for second in range(1, until_s + 1):
        if second in (says or {}):
            session.receive((says or {})[second], second * SECOND_NS)
        if duty := session.due(second * SECOND_NS):
            done[second] = duty
    return done


HERE, ASK_EVERY_4 = '{"do": "here"}', '{"do": "ask", "every_s": 4}'
LIMIT = RULES.session.messages


def test_a_connection_without_rules_lives_for_ever_and_is_asked_nothing() -> None:
    assert lived(SessionRules(LIMIT), 200_000) == {}


def test_a_venues_heartbeat_wants_an_answer_in_time() -> None:
    rules = SessionRules(LIMIT, heartbeat_every_s=10, heartbeat_answer_s=3)

    assert lived(rules, 29, {11: HERE, 22: HERE}) == {10: Duty.ASK, 20: Duty.ASK}
    assert lived(rules, 13, {12: "ping"}) == {10: Duty.ASK, 13: Duty.END}
    assert lived(rules, 23, {11: HERE}) == {10: Duty.ASK, 20: Duty.ASK, 23: Duty.END}


def test_a_client_may_choose_how_often_it_is_asked() -> None:
    rules = SessionRules(LIMIT, heartbeat_answer_s=2)

    assert lived(rules, 12, {3: ASK_EVERY_4, 8: HERE}) == {7: Duty.ASK, 11: Duty.ASK}
    assert lived(rules, 13, {3: ASK_EVERY_4, 8: HERE})[13] is Duty.END


def test_a_client_that_has_to_ping_and_does_not_is_cut() -> None:
    rules = SessionRules(LIMIT, silence_s=30)

    assert lived(rules, 60, {20: "ping", 40: "ping"}) == {}
    assert lived(rules, 70, {20: "ping", 40: "ping"}) == {70: Duty.END}


def test_the_end_of_a_connections_life_is_announced_once() -> None:
    assert lived(SessionRules(LIMIT, lifetime_s=100, notice_s=30), 100) == {70: Duty.ANNOUNCE_END, 100: Duty.END}
    assert lived(SessionRules(LIMIT, lifetime_s=100), 100) == {100: Duty.END}


def test_pings_of_a_client_are_answered() -> None:
    assert VenueSession(exchange(), "/made", 0).receive("ping", 0) == ["pong"]


def test_a_recording_of_such_a_venue_holds_its_list_in_parts_and_asks_for_no_book() -> None:
    symbols = ("BTC-EUR", "ETH-EUR", "SOL-EUR")
    recording = SimulatedRecording(exchange(*symbols, faults_every_s={Fault.DISCONNECT: 4.0}), 15)
    frames = list(recording)
    readers = {f"book:{symbol}": Reader() for symbol in symbols}
    for frame in frames:
        said = json.loads(frame.raw) if frame.via == "ws" else {}
        if said.get("on") in readers:
            readers[said["on"]].take(frame.raw)

    assert [frame.request for frame in frames if frame.via == "rest"] == ["/made/list?part=0", "/made/list?part=1"]
    assert sum(frame.via == "connect" for frame in frames) >= 3
    for symbol, true in recording.true_books().items():
        reader, expected = readers[f"book:{symbol}"], recording.expected()[symbol]
        assert (reader.n, expected["final_levels"]) == (true["sequence"], [LEVELS, LEVELS])
        assert reader.sides == {
            "buy": dict(true["bids"][:LEVELS]),
            "sell": dict(true["asks"][:LEVELS]),
        }
