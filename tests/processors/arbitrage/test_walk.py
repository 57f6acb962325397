"""Two books walked against each other give what buying and selling lot by lot gives: section 3."""

from __future__ import annotations

import os
from collections import Counter
from fractions import Fraction
from random import Random

import pytest

from obflow.settings import Settings
from processors.arbitrage.events import arbitrage_rules, numbers_of
from processors.arbitrage.legs import Leg, leg_of
from processors.arbitrage.pairs import ArbitrageRules, PairState, PairStep, find, take_leg
from processors.arbitrage.walk import Level, Opportunity, common_lot, fraction_of_bps, walk
from processors.derived.fees import FeeTable
from schemas.messages import ContractKind, QuoteRecord, Source, Status
from schemas.units import NS_PER_MS, NS_PER_SECOND
from tests.processors.staged import ladders

PAIRS = 2_000 if os.environ.get("OBFLOW_FUZZ") == "all" else 200
FEES = FeeTable("x linear t 2020-01-01 2 5; y linear t 2020-01-01 2 5; x inverse t 2020-01-01 2 5", "t")
T0_NS = 1_700_000_000 * NS_PER_SECOND


def rules(**changed: object) -> ArbitrageRules:
    return arbitrage_rules(Settings().arbitrage.model_copy(update=changed))


def leg(
    venue: str,
    bids: list[tuple[int, int]],
    asks: list[tuple[int, int]],
    *,
    at_ms: float = 0.0,
    status: Status = Status.OK,
    kind: ContractKind = ContractKind.LINEAR,
    offset: int = 0,
    source: Source = Source.LIVE,
) -> Leg:
    """A quote of BTC-USDT in ticks of 0.01 and lots of 0.1."""
    at_ns = T0_NS + round(at_ms * NS_PER_MS)
    grid = ("0.01", "0.1", "1", kind)
    levels = [list(part) for side in (bids, asks) for part in (zip(*side, strict=True) if side else ((), ()))]
    head = ("BTCUSDT", "BTC-USDT", source, status, 1, at_ns, at_ns)
    return leg_of(QuoteRecord(venue, *head, *grid, "aaaaaaaa", 0, offset, *levels))  # type: ignore[arg-type]


ASKS = [(10_000, 20), (10_002, 30), (10_006, 50)]
BIDS = [(10_030, 10), (10_025, 30), (10_016, 40)]
LOW = [(9_000, 10)]
HIGH = [(11_000, 10)]


def test_the_worked_example_gives_the_size_the_prices_and_the_profit_of_the_page() -> None:
    buy, sell = leg("x", LOW, ASKS), leg("y", BIDS, HIGH)
    found = find(buy, sell, 5.0, 5.0, rules(min_notional=100.0))
    assert found is not None
    numbers = numbers_of(buy, found)
    assert numbers["size"] == 4.0
    assert (numbers["buy_vwap"], numbers["sell_vwap"]) == (100.01, 100.2625)
    assert numbers["profit"] == pytest.approx(0.609455, abs=1e-9)
    assert numbers["net_bps"] == pytest.approx(15.2272379, abs=1e-7)
    assert numbers["depth_limited"] is False
    assert find(buy, sell, 5.0, 5.0, rules()) is None, "the default least notional is 1,000"


def lot_by_lot(
    asks: list[Level], bids: list[Level], fees: tuple[Fraction, Fraction], bar: Fraction, lot: Fraction, unit: Fraction
) -> tuple[Fraction, Fraction, Fraction]:
    """The same by taking the smallest pieces one after the other: size, cost, proceeds."""
    pieces = [[price for price, size in side for _ in range(int(size / unit))] for side in (asks, bids)]
    taken = 0
    for ask, bid in zip(*pieces, strict=False):
        if bid * (1 - fees[1]) - ask * (1 + fees[0]) < bar * ask * (1 + fees[0]):
            break
        taken += 1
    whole = int(taken * unit / lot) * int(lot / unit)
    return whole * unit, sum(pieces[0][:whole], Fraction(0)) * unit, sum(pieces[1][:whole], Fraction(0)) * unit


def test_a_walk_equals_buying_and_selling_lot_by_lot() -> None:
    some = 0
    for seed in range(PAIRS):
        random = Random(seed)
        lots = [Fraction(random.choice((1, 2, 5, 25)), 20) for _ in range(2)]
        lot, unit = common_lot(*lots), Fraction(1, 20)
        (_, _, ask_ticks, ask_lots), (bid_ticks, bid_lots, _, _) = ladders(random), ladders(random)
        asks = [(Fraction(ticks, 10), size * lots[0]) for ticks, size in zip(ask_ticks, ask_lots, strict=True)]
        bids = [(Fraction(ticks, 10), size * lots[1]) for ticks, size in zip(bid_ticks, bid_lots, strict=True)]
        fees = tuple(fraction_of_bps(random.choice((-1.0, 0.0, 2.5, 10.0))) for _ in range(2))
        bar = fraction_of_bps(random.choice((0.0, 5.0)))
        found = walk(asks, bids, *fees, bar, lot)
        size, cost, proceeds = lot_by_lot(asks, bids, (fees[0], fees[1]), bar, lot, unit)
        assert (found.size if found else 0) == size
        if found:
            some += 1
            assert (found.cost, found.proceeds) == (cost, proceeds)
            assert found.profit == proceeds * (1 - fees[1]) - cost * (1 + fees[0])
    assert some > PAIRS / 10


@pytest.mark.parametrize(
    ("one", "other", "both"), [("0.1", "0.25", "0.5"), ("1", "3", "3"), ("0.001", "0.001", "0.001")]
)
def test_the_common_lot_is_the_least_that_is_whole_on_both(one: str, other: str, both: str) -> None:
    assert common_lot(Fraction(one), Fraction(other)) == Fraction(both)


def steps_of(*legs: Leg, **changed: object) -> tuple[list[PairStep], Counter[str]]:
    state, counts = PairState(), Counter[str]()
    settings = rules(**{"min_notional": 100.0, **changed})
    found = []
    for one in legs:
        for step in take_leg(state, one, settings, FEES, counts):
            found.append(step._replace(episode=Opened(step.episode.number, step.episode.step)))  # type: ignore[arg-type]
    return found, counts


class Opened(tuple):  # type: ignore[type-arg] # number and step, as they were then
    def __new__(cls, *parts: int) -> Opened:
        return super().__new__(cls, parts)


def told(steps: list[PairStep]) -> list[tuple[str, str, str, tuple[int, ...]]]:
    return [(step.buy.venue, step.action.value, step.reason.value, tuple(step.episode)) for step in steps]  # type: ignore[arg-type]


def test_an_episode_opens_peaks_and_closes_once() -> None:
    more = [(10_060, 10), (10_055, 30), (10_016, 40)]
    steps, _ = steps_of(
        leg("x", LOW, ASKS),
        leg("y", BIDS, HIGH),
        leg("y", BIDS, HIGH, at_ms=20, offset=1),
        leg("y", more, HIGH, at_ms=40, offset=2),
        leg("y", BIDS, HIGH, at_ms=60, offset=3),
        leg("y", LOW, HIGH, at_ms=80, offset=4),
        leg("y", BIDS, HIGH, at_ms=100, offset=5),
        leg("y", [], HIGH, at_ms=120, status=Status.RESYNCING, offset=6),
    )
    assert told(steps) == [
        ("x", "open", "found", (1, 0)),
        ("x", "peak", "found", (1, 1)),
        ("x", "close", "gone", (1, 2)),
        ("x", "open", "found", (2, 0)),
        ("x", "close", "not_fresh", (2, 1)),
    ]


def test_a_book_that_is_old_ends_an_episode_and_begins_none() -> None:
    steps, _ = steps_of(leg("x", LOW, ASKS), leg("y", BIDS, HIGH), leg("y", BIDS, HIGH, at_ms=1_001, offset=1))
    assert told(steps)[-1] == ("x", "close", "not_fresh", (1, 1))
    assert steps_of(leg("x", LOW, ASKS), leg("y", BIDS, HIGH, at_ms=1_001))[0] == []
    assert len(steps_of(leg("x", LOW, ASKS), leg("y", BIDS, HIGH, at_ms=1_000))[0]) == 1
    assert steps_of(leg("x", LOW, ASKS), leg("y", BIDS, HIGH, at_ms=1_000), max_clock_skew_ms=50.0)[0] == []


def test_nothing_comes_of_books_without_fees_of_other_feeds_or_repeated() -> None:
    assert steps_of(leg("x", LOW, ASKS), leg("z", BIDS, HIGH)) == ([], Counter(no_fee=2))
    assert steps_of(leg("x", LOW, ASKS, source=Source.REPLAY), leg("y", BIDS, HIGH))[0] == []
    steps, counts = steps_of(leg("x", LOW, ASKS), leg("y", BIDS, HIGH), leg("y", LOW, HIGH))
    assert (len(steps), counts["already_processed"]) == (1, 1)
    for status in (Status.RESYNCING, Status.ONE_SIDED, Status.CROSSED, Status.LOCKED, Status.EMPTY):
        assert steps_of(leg("x", LOW, ASKS, status=status), leg("y", BIDS, HIGH))[0] == []


def test_swapping_the_venues_gives_the_same_episode_mirrored() -> None:
    (one,), _ = steps_of(leg("x", LOW, ASKS), leg("y", BIDS, HIGH))
    (other,), _ = steps_of(leg("y", LOW, ASKS), leg("x", BIDS, HIGH))
    assert (one.buy.venue, one.sell.venue) == ("x", "y")
    assert (other.buy.venue, other.sell.venue) == ("y", "x")
    assert one.found == other.found


def test_an_inverse_pair_is_walked_by_what_a_contract_is_worth() -> None:
    buy = leg("x", LOW, ASKS, kind=ContractKind.INVERSE)
    sell = leg("y", BIDS, HIGH, kind=ContractKind.INVERSE)
    found = find(buy, sell, 5.0, 5.0, rules(min_notional=1.0))
    assert found is not None
    numbers = numbers_of(buy, found)
    paid = Fraction(100) / Fraction("100.3") * Fraction(1, 100)
    assert numbers["size"] == 4.0
    assert 100.0 <= numbers["buy_vwap"] < numbers["sell_vwap"] <= 100.3
    assert numbers["profit"] == pytest.approx(
        4.0 / numbers["buy_vwap"] * 0.9995 - 4.0 / numbers["sell_vwap"] * 1.0005, rel=1e-12
    )
    assert paid < 1


def test_what_one_can_afford_is_less_than_what_there_is() -> None:
    buy, sell = leg("x", LOW, ASKS), leg("y", BIDS, HIGH)
    found = find(buy, sell, 5.0, 5.0, rules(min_notional=100.0, capital=150.0))
    assert found is not None
    assert isinstance(found.of_capital, Opportunity)
    assert found.of_capital.size == Fraction("1.4")
    assert found.of_capital.profit < found.whole.profit
