"""The simulated market, by two of Binance's venues and their documented rules; all venues: tests/contract."""

from __future__ import annotations

import json
import tracemalloc
from collections import Counter
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.simulator import true_book
from producers.simulator.contract import Form, RestAnswer, encode_event
from producers.simulator.events import DEPTH_SPEED_NS, Damage, DepthUpdate, MarketEvent, StreamKind
from producers.simulator.exchange import Disconnect, SimulatedExchange
from producers.simulator.faults import Fault
from producers.simulator.true_book import Change, TrueBook, UnknownSequence
from producers.simulator.venues import simulated_venue
from schemas.errors import UsageError
from tests.producers.binance_reader import IndependentReader, RuleBroken, assert_true_book, read_frame

VENUES = FUTURES, SPOT = "binance-futures", "binance"
MS, US = 10**6, 10**3
START_NS = 1_704_067_200 * 10**9
SECOND_NS = 10**9


def exchange(venue: str = FUTURES, symbols: tuple[str, ...] = ("BTCUSDT",), **options: object) -> SimulatedExchange:
    given = {"seed": 1, "start_ns": START_NS, "changes_per_second": 100.0, **options}
    return SimulatedExchange(simulated_venue(venue), symbols, **given)  # type: ignore[arg-type]


def frames_until(venue: SimulatedExchange, seconds: float) -> list[MarketEvent]:
    items = venue.advance(START_NS + int(seconds * SECOND_NS))
    return [item for item in items if isinstance(item, MarketEvent)]


def text(event: MarketEvent, form: Form | None = None) -> str:
    """An event as a connection reads it."""
    return encode_event(simulated_venue(event.spec.venue), event, form)


def depth_only(frames: list[MarketEvent]) -> list[MarketEvent]:
    return [frame for frame in frames if frame.stream is StreamKind.DEPTH]


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31), st.lists(st.integers(1, 400), min_size=1, max_size=12))
def test_the_same_seed_gives_the_same_frames_whatever_steps_time_takes(seed: int, steps_ms: list[int]) -> None:
    symbols = ("BTCUSDT", "XRPUSDT")
    whole, stepped = exchange(symbols=symbols, seed=seed), exchange(symbols=symbols, seed=seed)
    by_steps = [
        item for end in range(len(steps_ms)) for item in stepped.advance(START_NS + sum(steps_ms[: end + 1]) * MS)
    ]

    assert by_steps == whole.advance(START_NS + sum(steps_ms) * MS)


def test_another_seed_gives_another_market() -> None:
    texts = {text(frames_until(exchange(seed=seed), 1)[-1]) for seed in range(5)}

    assert len(texts) == 5


def test_a_market_does_not_depend_on_the_other_markets_beside_it() -> None:
    alone = frames_until(exchange(symbols=("ETHUSDT",)), 3)
    among = frames_until(exchange(symbols=("BTCUSDT", "ETHUSDT", "SOLUSDT")), 3)

    assert [frame for frame in among if frame.spec.symbol == "ETHUSDT" and frame.stream is not StreamKind.TRADE] == [
        frame for frame in alone if frame.stream is not StreamKind.TRADE
    ]


@pytest.mark.parametrize("venue", VENUES)
@pytest.mark.parametrize("symbol", ["BTCUSDT", "XRPUSDT", "NEWCOINUSDC"])
def test_a_reader_that_keeps_to_the_venues_rules_ends_with_the_true_book(venue: str, symbol: str) -> None:
    simulated = exchange(venue, (symbol,))
    spec = simulated.specs[symbol]
    reader = IndependentReader(venue == FUTURES, spec.tick_size, spec.lot_size)
    readers = {symbol: reader}
    for frame in frames_until(simulated, 0.45):
        read_frame(readers, text(frame))
    snapshot = simulated.get(simulated.venue.book_target(symbol)).body
    for frame in frames_until(simulated, 0.65):
        read_frame(readers, text(frame))
    reader.on_snapshot(json.loads(snapshot))
    for frame in frames_until(simulated, 30):
        read_frame(readers, text(frame))

    view = simulated.true_book(symbol, reader.last_u)
    assert_true_book(reader, spec.level_texts(view.bids), spec.level_texts(view.asks))  # type: ignore[arg-type]
    assert reader.applied > 280
    assert reader.quotes_checked > 250
    assert reader.trades > 20


@pytest.mark.parametrize("venue", VENUES)
def test_the_book_is_a_market_and_not_noise(venue: str) -> None:
    """A narrow spread most of the time, and a book that a snapshot does not show whole and that grows."""
    simulated = exchange(venue, changes_per_second=200.0)
    opening = simulated.true_book("BTCUSDT")
    frames = frames_until(simulated, 60)
    quotes = [frame.what for frame in frames if frame.stream is StreamKind.QUOTE]
    spreads = sorted(quote.ask - quote.bid for quote in quotes)
    closing = simulated.true_book("BTCUSDT")

    assert spreads[0] > 0
    assert spreads[len(spreads) // 2] == 1
    assert len(opening.bids) > 1000 < len(opening.asks)
    assert len(closing.bids) + len(closing.asks) > len(opening.bids) + len(opening.asks)
    assert abs(closing.bids[0][0] / opening.bids[0][0] - 1) < 0.02
    assert closing.bids[0] != opening.bids[0]


def test_order_flow_comes_in_bursts() -> None:
    frames = frames_until(exchange(changes_per_second=100.0), 60)
    levels = sorted(len(frame.what.bids) + len(frame.what.asks) for frame in depth_only(frames))

    assert levels[-len(levels) // 50] > 3 * levels[len(levels) // 2]


@pytest.mark.parametrize("venue", VENUES)
def test_the_true_book_is_known_at_every_update_id(venue: str) -> None:
    simulated = exchange(venue)
    book = {True: dict(simulated.true_book("BTCUSDT").bids), False: dict(simulated.true_book("BTCUSDT").asks)}
    updates = [frame.what for frame in depth_only(frames_until(simulated, 5))]
    for update in updates:
        for is_bid, levels in ((True, update.bids), (False, update.asks)):
            book[is_bid].update(levels)
        view = simulated.true_book("BTCUSDT", update.last_id)
        assert dict(view.bids) == {tick: lots for tick, lots in book[True].items() if lots}
        assert dict(view.asks) == {tick: lots for tick, lots in book[False].items() if lots}

    with pytest.raises(UnknownSequence):
        simulated.true_book("BTCUSDT", updates[-1].last_id * 2)
    with pytest.raises(UnknownSequence):
        simulated.true_book("BTCUSDT", updates[0].previous_id - 1)


def test_a_true_book_remembers_so_many_changes_in_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(true_book, "HISTORY_CHANGES", most := 2_000)
    book = TrueBook(1_000)
    changes = [Change(1_000 + 3 * n, n % 2 == 0, 500 + n % 7, n) for n in range(1, 2 * most)]
    tracemalloc.start()
    for change in changes:
        book.put(change)
    kept_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    last, oldest = changes[-1].sequence, changes[-most - 1].sequence

    assert kept_bytes < 40 * most
    assert book.view_at(last) == book.view()
    assert {lots for side in book.view_at(oldest)[1:] for _, lots in side} == set(range(most - 14, most))
    with pytest.raises(UnknownSequence, match=f"from update {oldest} to {last}"):
        book.view_at(oldest - 1)


@pytest.mark.parametrize("fault", [Fault.GAP, Fault.DUPLICATE, Fault.DISORDER, Fault.CORRUPT])
def test_a_fault_changes_what_is_sent_and_never_the_market(fault: Fault) -> None:
    healthy, faulty = exchange(), exchange()
    clean = depth_only(frames_until(healthy, 2))
    frames_until(faulty, 1)
    faulty.inject(fault, "BTCUSDT")
    sent = depth_only(frames_until(faulty, 2))
    expected = [frame for frame in clean if frame.sent_ns > START_NS + SECOND_NS]
    first, second = expected[0], expected[1]

    starts = {
        Fault.GAP: expected[1:],
        Fault.DUPLICATE: [first, *expected],
        Fault.DISORDER: [second, first, *expected[2:]],
        Fault.CORRUPT: [first._replace(damage=Damage.CUT), *expected[1:]],
    }
    assert sent == starts[fault]
    assert faulty.true_book("BTCUSDT") == healthy.true_book("BTCUSDT")
    assert faulty.faults["BTCUSDT"].injected[fault] == 1


def test_the_independent_reader_notices_a_dropped_frame() -> None:
    """The yardstick itself can fail: else the tests that use it would prove nothing."""
    for venue in VENUES:
        simulated = exchange(venue)
        readers = {"BTCUSDT": IndependentReader(venue == FUTURES, "0.01", "0.00001")}
        simulated.inject(Fault.GAP, "BTCUSDT")
        head, *rest = depth_only(frames_until(exchange(venue), 1))
        read_frame(readers, text(head))
        with pytest.raises(RuleBroken):
            read_frame(readers, text(rest[1]))


def test_a_cut_frame_is_no_json_and_a_damaged_number_is_no_decimal() -> None:
    frame = depth_only(frames_until(exchange(), 1))[0]

    with pytest.raises(json.JSONDecodeError):
        json.loads(text(frame._replace(damage=Damage.CUT)))
    sizes = [size for _, size in json.loads(text(frame._replace(damage=Damage.NUMBER)))["data"]["b"]]
    assert sizes[0] == "1e5"


def test_scheduled_faults_come_as_often_as_asked_and_the_same_for_the_same_seed() -> None:
    every_s = {Fault.GAP: 5.0, Fault.DISCONNECT: 10.0, Fault.DUPLICATE: 4.0}
    runs = [exchange(changes_per_second=20.0, faults_every_s=every_s) for _ in range(2)]
    items = [run.advance(START_NS + 100 * SECOND_NS) for run in runs]

    assert items[0] == items[1]
    injected = runs[0].faults["BTCUSDT"].injected
    assert 14 <= injected[Fault.GAP] <= 28
    assert 18 <= injected[Fault.DUPLICATE] <= 34
    assert injected[Fault.DISORDER] == 0
    assert 6 <= sum(isinstance(item, Disconnect) for item in items[0]) <= 14


def test_depth_leaves_every_hundred_milliseconds_and_names_when_it_was_matched() -> None:
    for frame in depth_only(frames_until(exchange(), 3)):
        assert frame.sent_ns % DEPTH_SPEED_NS == 0
        assert 0 <= frame.sent_ns - frame.matched_ns <= DEPTH_SPEED_NS


def test_spot_has_no_matching_time_and_no_previous_id_and_writes_eight_digits() -> None:
    frame = depth_only(frames_until(exchange(SPOT), 1))[0]
    milliseconds, microseconds = (json.loads(text(frame, Form(unit)))["data"] for unit in (MS, US))

    assert set(milliseconds) == {"e", "E", "s", "U", "u", "b", "a"}
    assert microseconds["E"] // 1000 == milliseconds["E"]
    assert all(len(text.partition(".")[2]) == 8 for level in milliseconds["b"] for text in level)


def test_futures_frames_carry_the_venues_fields() -> None:
    frames = frames_until(exchange(), 5)
    fields = {frame.stream: set(json.loads(text(frame, Form(envelope=False)))) for frame in frames}

    assert fields[StreamKind.DEPTH] == {"e", "E", "T", "s", "U", "u", "pu", "b", "a"}
    assert fields[StreamKind.TRADE] == {"e", "E", "T", "s", "t", "p", "q", "X", "m"}
    assert fields[StreamKind.QUOTE] == {"e", "u", "s", "b", "B", "a", "A", "T", "E"}


def test_trades_happen_at_the_prices_of_the_levels_they_consume() -> None:
    frames = frames_until(exchange(), 20)
    top: tuple[int, int] | None = None
    outside = 0
    for frame in frames:
        if frame.stream is StreamKind.QUOTE:
            top = (frame.what.bid, frame.what.ask)
        elif frame.stream is StreamKind.TRADE and top is not None and hasattr(frame.what, "tick"):
            outside += frame.what.tick < top[1] if frame.what.buyer_is_aggressor else frame.what.tick > top[0]

    assert outside == 0


def test_the_depth_request_is_refused_as_the_venue_does() -> None:
    venues = {FUTURES: exchange(FUTURES), SPOT: exchange(SPOT)}

    def depth(venue: str, symbol: str, limit: object) -> RestAnswer:
        path = {FUTURES: "/fapi/v1/depth", SPOT: "/api/v3/depth"}[venue]
        return venues[venue].get(f"{path}?symbol={symbol}&limit={limit}")

    assert depth(FUTURES, "NOPEUSDT", 1000).status == 400
    assert depth(FUTURES, "BTCUSDT", 999).status == depth(FUTURES, "BTCUSDT", "x").status == 400
    assert depth(SPOT, "BTCUSDT", 999).status == 200
    assert depth(SPOT, "BTCUSDT", 5001).status == 400
    assert depth(FUTURES, "BTCUSDT", 1000).weight == 20
    assert depth(SPOT, "BTCUSDT", 1000).weight == 50
    assert len(json.loads(depth(FUTURES, "BTCUSDT", 1000).body)["bids"]) == 1000


@pytest.mark.parametrize("venue", VENUES)
def test_the_instrument_list_holds_the_grid_of_every_market(venue: str) -> None:
    simulated = exchange(venue, simulated_venue(venue).listed)
    info = json.loads(simulated.get(*simulated.venue.listing_targets([])).body)

    assert [entry["symbol"] for entry in info["symbols"]] == list(simulated_venue(venue).listed)
    for entry in info["symbols"]:
        filters = {rule["filterType"]: rule for rule in entry["filters"]}
        spec = simulated.specs[entry["symbol"]]
        assert Decimal(filters["PRICE_FILTER"]["tickSize"]) == Decimal(spec.tick_size)
        assert Decimal(filters["LOT_SIZE"]["stepSize"]) == Decimal(spec.lot_size)
        assert Decimal(spec.price_text(1)) == Decimal(spec.tick_size)
        assert Decimal(spec.size_text(1)) == Decimal(spec.lot_size)
    limits = Counter(limit["rateLimitType"] for limit in info["rateLimits"])
    assert limits["REQUEST_WEIGHT"] == 1


def test_spot_lists_what_is_asked_for_and_the_futures_all_there_is() -> None:
    def listing(venue: str, symbols: str) -> RestAnswer:
        path = {FUTURES: "/fapi/v1/exchangeInfo", SPOT: "/api/v3/exchangeInfo"}[venue]
        return exchange(venue, ("BTCUSDT", "ETHUSDT")).get(f"{path}?symbols={symbols}")

    def listed(venue: str, symbols: str) -> list[str]:
        return [entry["symbol"] for entry in json.loads(listing(venue, symbols).body)["symbols"]]

    assert listed(SPOT, '["ETHUSDT"]') == ["ETHUSDT"]
    assert listed(FUTURES, '["ETHUSDT"]') == listed(SPOT, "") == ["BTCUSDT", "ETHUSDT"]
    for symbols, code in (('["NOPEUSDT","ETHUSDT"]', -1121), ("ETHUSDT", -1100)):
        refused = listing(SPOT, symbols)
        assert (refused.status, json.loads(refused.body)["code"]) == (400, code)


def test_what_cannot_be_simulated_is_refused_with_a_sentence() -> None:
    with pytest.raises(UsageError, match="does not speak for bazaar"):
        simulated_venue("bazaar")
    with pytest.raises(UsageError, match="'btcusdt' is not a symbol"):
        simulated_venue(FUTURES).market("btcusdt")
    with pytest.raises(UsageError, match="nothing to simulate"):
        SimulatedExchange(simulated_venue(FUTURES), [])


def test_ids_of_futures_have_holes_and_those_of_spot_have_none() -> None:
    for venue, expected in ((FUTURES, True), (SPOT, False)):
        updates = [frame.what for frame in depth_only(frames_until(exchange(venue), 3))]
        assert all(isinstance(update, DepthUpdate) for update in updates)
        holes = any(after.first_id != before.last_id + 1 for before, after in pairwise(updates))
        assert holes is expected


def test_a_market_that_strays_does_so_for_four_seconds_and_comes_back() -> None:
    straying, steady = (
        exchange("okx", ("BTC-USDT-SWAP",), changes_per_second=20.0, dislocations_every_s=every_s)
        for every_s in (8.0, 0.0)
    )
    planted = straying.dislocations["BTC-USDT-SWAP"].planted
    for now_ns in range(START_NS, START_NS + 30 * SECOND_NS, SECOND_NS // 10):
        away_bps = 1e4 * (mid_at(straying, now_ns) / mid_at(steady, now_ns) - 1.0)
        assert (abs(away_bps) > 15.0) is any(one.from_ns <= now_ns < one.to_ns for one in planted), now_ns
    assert len(planted) > 1


def mid_at(venue: SimulatedExchange, now_ns: int) -> float:
    venue.advance(now_ns)
    (symbol,) = venue.specs
    book = venue.true_book(symbol, limit=1)
    return (book.bids[0][0] + book.asks[0][0]) / 2
