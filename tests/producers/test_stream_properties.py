"""Whatever is lost, repeated or swapped on the way, a book that is said to be LIVE is the true one.

The oracle is a tiny exchange that remembers its book after every single change, and a reader made of dicts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from producers.books.options import StreamOptions
from producers.books.stream import InstrumentStream
from producers.exchanges.binance.rules import BinanceFuturesRule, BinanceSpotRule
from producers.messages import BestQuote, DepthDelta, DepthSnapshot, Instrument
from producers.sequencing import SequenceRule
from tests.producers.messages import fork
from tests.producers.reader import DictReader, Side
from tests.support.tiers import fourth_of

MS = 1_000_000
RULES: dict[str, SequenceRule] = {"binance": BinanceSpotRule(), "binance-futures": BinanceFuturesRule()}
FIRST_ID = 1_000

BIDS = st.sampled_from(["99.0", "99.1", "99.5", "99.8", "99.9", "99.95"])  # the last is finer than the tick
ASKS = st.sampled_from(["100.05", "100.1", "100.2", "100.5", "100.9", "101.0"])
SIZES = st.sampled_from(["0", "1", "2.5", "0.001", "7"])
Change = tuple[bool, str, str]  # is it a bid, price, size
CHANGE = st.one_of(st.tuples(st.just(True), BIDS, SIZES), st.tuples(st.just(False), ASKS, SIZES))
EVENTS = st.lists(st.lists(CHANGE, min_size=1, max_size=4), min_size=3, max_size=25)


Arrival = DepthDelta | int  # an update, or a snapshot by its id


@dataclass
class TrueExchange:
    """The book after every change, by update id, and the updates the venue sends."""

    with_previous: bool
    states: dict[int, tuple[Side, Side]] = field(default_factory=dict)
    deltas: list[DepthDelta] = field(default_factory=list)

    def run(self, events: list[list[Change]]) -> None:
        bids: Side = {Decimal("99.0"): Decimal(5)}
        asks: Side = {Decimal("101.0"): Decimal(5)}
        update_id = FIRST_ID
        self.states[update_id] = (dict(bids), dict(asks))
        for number, changes in enumerate(events):
            first, previous = update_id + 1, update_id
            sides: tuple[dict[str, str], dict[str, str]] = ({}, {})
            for is_bid, price, size in changes:
                update_id += 1
                side = bids if is_bid else asks
                side[Decimal(price)] = Decimal(size)
                if not side[Decimal(price)]:
                    del side[Decimal(price)]
                sides[0 if is_bid else 1][price] = size
                self.states[update_id] = (dict(bids), dict(asks))
            self.deltas.append(
                DepthDelta(
                    "S",
                    first,
                    update_id,
                    list(sides[0].items()),
                    list(sides[1].items()),
                    previous if self.with_previous else None,
                    (number + 1) * MS,
                )
            )

    def snapshot(self, update_id: int) -> DepthSnapshot:
        bids, asks = self.states[update_id]
        return DepthSnapshot(
            "S",
            update_id,
            [(str(price), str(size)) for price, size in bids.items()],
            [(str(price), str(size)) for price, size in asks.items()],
        )


def disturbed(draw: st.DrawFn, deltas: list[DepthDelta]) -> list[DepthDelta]:
    """The updates as they arrive: some lost, some repeated (at once or later), neighbours swapped."""
    arriving = [delta for delta in deltas if draw(st.integers(0, 9)) != 0]
    for _ in range(draw(st.integers(0, 3))):
        if arriving:
            repeated = draw(st.sampled_from(arriving))
            position = arriving.index(repeated)
            arriving.insert(draw(st.integers(position + 1, len(arriving))), repeated)
    for _ in range(draw(st.integers(0, 2))):
        if len(arriving) > 1:
            position = draw(st.integers(0, len(arriving) - 2))
            arriving[position : position + 2] = arriving[position + 1], arriving[position]
    return arriving


Session = tuple[str, TrueExchange, list[Arrival]]


@st.composite
def sessions(draw: st.DrawFn) -> Session:
    """A venue, its true book, and what arrives: updates, and snapshots by their id."""
    venue = draw(st.sampled_from(sorted(RULES)))
    exchange = TrueExchange(with_previous=venue == "binance-futures")
    exchange.run(draw(EVENTS))
    arriving: list[Arrival] = []
    newest = FIRST_ID
    for delta in disturbed(draw, exchange.deltas):
        arriving.append(delta)
        newest = max(newest, delta.last_sequence)
        if draw(st.integers(0, 3)) == 0:
            arriving.append(draw(st.integers(max(FIRST_ID, newest - 6), min(max(exchange.states), newest + 3))))
    return venue, exchange, arriving


def play(
    rule: SequenceRule, venue: str, arriving: list[Arrival], exchange: TrueExchange
) -> tuple[InstrumentStream, DictReader]:
    stream = InstrumentStream(
        Instrument(venue, "S", "0.1", "0.001"), rule, StreamOptions(routine_snapshot_ns=3 * MS, delta_buffer=8)
    )
    reader = DictReader()
    for number, item in enumerate(arriving):
        now = number * MS
        if isinstance(item, int):
            reader.read(stream.on_snapshot(exchange.snapshot(item), now))
        else:
            reader.read(stream.on_delta(item, now))
        assert reader.live == stream.is_live
    return stream, reader


@settings(max_examples=fourth_of(400))
@given(sessions())
def test_a_live_book_is_the_true_book_whatever_was_lost_repeated_or_swapped(
    session: Session,
) -> None:
    venue, exchange, arriving = session

    stream, reader = play(RULES[venue], venue, arriving, exchange)

    for sequence, bids, asks in reader.live_at:
        assert (bids, asks) == exchange.states[sequence]
    event(f"believed states: {min(len(reader.live_at), 5)}, gaps: {min(stream.counters.gaps, 2)}")


@settings(max_examples=fourth_of(200))
@given(sessions())
def test_every_update_is_accounted_for(session: Session) -> None:
    venue, exchange, arriving = session

    stream, _ = play(RULES[venue], venue, arriving, exchange)

    counted = stream.counters
    taken = counted.deltas_applied + counted.deltas_dropped + counted.duplicates + counted.deltas_refused
    assert taken + stream.waiting == sum(1 for item in arriving if not isinstance(item, int))


@pytest.mark.parametrize("venue", sorted(RULES))
@given(events=EVENTS)
def test_an_undisturbed_session_applies_every_update_without_a_gap(venue: str, events: list[list[Change]]) -> None:
    exchange = TrueExchange(with_previous=venue == "binance-futures")
    exchange.run(events)

    stream, reader = play(RULES[venue], venue, [exchange.deltas[0], FIRST_ID, *exchange.deltas[1:]], exchange)

    assert stream.counters.deltas_applied == len(exchange.deltas)
    assert stream.counters.gaps == stream.counters.duplicates == 0
    assert reader.live_at[-1][1:] == exchange.states[max(exchange.states)]


@pytest.mark.parametrize("venue", sorted(RULES))
@given(events=EVENTS, data=st.data())
def test_a_stream_that_is_fed_what_it_asks_for_ends_live_with_the_true_book(
    venue: str, events: list[list[Change]], data: st.DataObject
) -> None:
    """Updates are lost at random; each wish for a snapshot is answered a little late; the tail arrives whole."""
    exchange = TrueExchange(with_previous=venue == "binance-futures")
    exchange.run([*events, *[[(True, "99.0", str(size))] for size in range(1, 9)]])
    stream = InstrumentStream(Instrument(venue, "S", "0.1", "0.001"), RULES[venue])
    reader = DictReader()
    tail = len(exchange.deltas) - 8
    for number, delta in enumerate(exchange.deltas):
        if number < tail and data.draw(st.booleans()):
            continue
        reader.read(stream.on_delta(delta, number * MS))
        if stream.needs_snapshot is not None and (number >= tail or data.draw(st.booleans())):
            reader.read(stream.on_snapshot(exchange.snapshot(delta.last_sequence), number * MS))

    assert stream.is_live
    assert (reader.bids, reader.asks) == exchange.states[max(exchange.states)]


@given(sessions(), st.integers(0, 60))
def test_a_copy_taken_anywhere_continues_to_the_same_records(session: Session, cut: int) -> None:
    venue, exchange, arriving = session
    stream = InstrumentStream(Instrument(venue, "S", "0.1", "0.001"), RULES[venue])
    twin = stream
    for number, item in enumerate(arriving):
        if number == cut:
            twin = fork(stream)
        message = exchange.snapshot(item) if isinstance(item, int) else item
        if isinstance(message, DepthSnapshot):
            ours = stream.on_snapshot(message, number * MS)
            theirs = twin.on_snapshot(message, number * MS) if twin is not stream else ours
        else:
            ours = stream.on_delta(message, number * MS)
            theirs = twin.on_delta(message, number * MS) if twin is not stream else ours
        assert ours == theirs


@settings(max_examples=fourth_of(100))
@given(sessions(), st.data())
def test_true_quotes_are_never_called_wrong(session: Session, data: st.DataObject) -> None:
    """Each change of the best level has its quote; quotes come before, between and after the updates."""
    venue, exchange, arriving = session
    stream = InstrumentStream(Instrument(venue, "S", "0.1", "0.001"), RULES[venue])
    quotes = [_quote(update_id, *state) for update_id, state in sorted(exchange.states.items()) if all(state)]
    complete = len(quotes) == len(exchange.states)  # an empty side has no quote, and the one before it would not do
    for number, item in enumerate(arriving):
        for quote in quotes[: data.draw(st.integers(0, 3))]:
            stream.on_quote(quote, number * MS)
            quotes.remove(quote)
        if isinstance(item, int):
            stream.on_snapshot(exchange.snapshot(item), number * MS)
        else:
            stream.on_delta(item, number * MS)
    for quote in quotes:
        stream.on_quote(quote, len(arriving) * MS)
    stream.quotes.finish()

    event(f"checked: {min(stream.quotes.checked, 3)}")
    assert not complete or stream.quotes.wrong == 0


def _quote(update_id: int, bids: Side, asks: Side) -> BestQuote:
    bid, ask = max(bids), min(asks)
    return BestQuote("S", str(bid), str(bids[bid]), str(ask), str(asks[ask]), update_id)
